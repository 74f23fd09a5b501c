/** Token ids to text. */
export * from "./text/detokenizer.js";
