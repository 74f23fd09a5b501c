/** What is wrong with a pattern as a whole. */
export class PatternFault extends Error {}
