/** Text to token ids and back. */
export * from "./text/detokenizer.js";
export * from "./text/tokenizer.js";
