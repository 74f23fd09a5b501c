import { expect, test } from "vitest";
import { StopSequences } from "../../../src/models/chat/stop-sequence.js";

/** What is emitted of each piece, and at the end. */
function emitted(stops: string | readonly string[], pieces: readonly string[]) {
  const stop = new StopSequences(stops);
  const given = pieces.map((piece) => stop.push(piece));
  return { given: [...given, stop.finish()], found: stop.found };
}

test.each<[string, string | string[], string[], string[], string | undefined]>([
  ["none", [], ["ab", "c"], ["ab", "c", ""], undefined],
  ["within a piece", "b", ["abc", "d"], ["a", "", ""], "b"],
  ["over several pieces", "<end>", ["a<", "en", "d>b"], ["a", "", "", ""], "<end>"],
  ["a beginning that goes on otherwise", "<end>", ["a<", "en", "x"], ["a", "", "<enx", ""], undefined],
  ["a beginning at the end of the answer", "<end>", ["a<e"], ["a", "<e"], undefined],
  ["a beginning within a beginning", "aab", ["aa", "a", "b"], ["", "a", "", ""], "aab"],
  ["the first of two", ["c", "bc"], ["abc"], ["a", ""], "bc"],
  ["the longest that begins at one place", ["b", "bcd", "bc"], ["abcd"], ["a", ""], "bcd"],
  ["at once", ["a"], ["a", "b"], ["", "", ""], "a"],
])("%s", (_, stops, pieces, given, found) => {
  expect(emitted(stops, pieces)).toEqual({ given, found });
});
