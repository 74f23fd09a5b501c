/** An error in a pattern as a whole. */
export class PatternFault extends Error {}
