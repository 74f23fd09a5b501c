/** Text to token ids. Loaded on demand: the tokenizer library is a large part of what a page fetches. */
export * from "./text/tokenizer.js";
