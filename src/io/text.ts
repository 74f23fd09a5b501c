/** Text files and JSON. */
export * from "./text/json.js";
export * from "./text/text.js";
