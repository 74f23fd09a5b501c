import { causeMessage } from "../base/cause-message.js";
import { failure } from "../openai/api-error.js";
import { Refusal } from "./refusal.js";

/** Values of a body: `JSON.parse` takes 20 times the bytes of small ones, and seconds for millions. */
const MOST_VALUES = 1_000_000;
const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACE] = [...'"\\,[{'].map((letter) => letter.charCodeAt(0));

/** Parses a body as JSON. Throws Refusal, for too many values before they are parsed. */
export function parseBody(bytes: Uint8Array): unknown {
  const count = valuesIn(bytes);
  if (count > MOST_VALUES) {
    const message = `expected JSON of at most ${MOST_VALUES} values in the body, got about ${count}; send several requests`;
    throw new Refusal(failure(400, message, "limit_exceeded"));
  }
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new Refusal(failure(400, `expected JSON in the body, got ${causeMessage(cause)}`, "invalid_json"));
  }
}

/** Counts commas and opening brackets outside of strings: an upper bound of the number of values after the first. */
function valuesIn(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) i = endOfString(bytes, i + 1);
    else if (byte === COMMA || byte === BRACKET || byte === BRACE) count++;
  }
  return count;
}

/** Index of the quote that ends a string; the length if none does. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let from = start; ; ) {
    const quote = bytes.indexOf(QUOTE!, from);
    if (quote < 0) return bytes.length;
    let backslashes = 0;
    while (quote - backslashes > from && bytes[quote - backslashes - 1] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote;
    from = quote + 1;
  }
}
