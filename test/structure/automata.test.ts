import { describe, expect, it } from "vitest";
import { accepts, complement, concatenation, longest, union } from "../../src/structure/automata.js";
import { type Automaton, automatonOf } from "../../src/structure/automaton.js";
import type { Pattern } from "../../src/structure/pattern.js";
import { someMatch } from "../../src/structure/regex.js";

const of = (source: string): Automaton => automatonOf(someMatch(`^(?:${source})$`, "") as Pattern);
const TEXTS = ["", "a", "b", "ab", "ba", "aab", "abab", "é", "aé", "😀", "a😀b"];

describe("automata", () => {
  it.each([
    ["a*", "b?"],
    ["a|ab", "(?:ab)*"],
    ["[^a]", "[a-é]+"],
    [".*", ""],
  ])("of %s and %s", (a, b) => {
    const [one, two] = [of(a), of(b)];
    for (const text of TEXTS) {
      const has = (source: string): boolean => new RegExp(`^(?:${source})$`, "u").test(text);
      expect(accepts(one, text), text).toBe(has(a));
      expect(accepts(complement(one), text), text).toBe(!has(a));
      expect(accepts(union([one, two]), text), text).toBe(has(a) || has(b));
      expect(accepts(concatenation(one, two), text), text).toBe(has(`(?:${a})(?:${b})`));
    }
  });

  it.each([
    ["a{2,5}|b{9}", 9],
    ["a*", Number.POSITIVE_INFINITY],
    ["", 0],
    ["(?:a|bb)c", 3],
  ])("%s has at most %d characters", (source, most) => {
    expect(longest(of(source))).toBe(most);
  });

  it("ask in a time that grows with the text", () => {
    expect(accepts(of("(?:a+)+"), `${"a".repeat(10_000)}!`)).toBe(false);
  });
});
