import { describe, expect, it } from "vitest";
import { accepts } from "../../src/structure/automata.js";
import { matchAutomaton } from "../../src/structure/regex.js";

const LETTERS = ["a", "b", "1"];
/** All texts of up to four of the letters. */
const TEXTS = [0, 1, 2, 3].reduce<string[]>(
  (texts) => [...new Set([...texts, ...texts.flatMap((text) => LETTERS.map((letter) => text + letter))])],
  [""],
);

describe("lookaheads", () => {
  it.each([
    "^(?=a)[ab1]*$",
    "^(?!.*aa)[ab]+$",
    "^(?=.*[a])(?=.*\\d).{2,3}$",
    "^a(?!b$)",
    "(?=1)[1a]b",
    "^(?:a(?=b)|b(?!1))[ab1]*$",
    "^(?:a(?=b$))?.*$",
    "^(?!^[b1]*$)\\w*$",
    "^(?!(?!a)b)..$",
    "a(?=b)|1(?!b)",
    "^a(?=^b)",
  ])("%s", (source) => {
    const [automaton, expression] = [matchAutomaton(source, "pattern"), new RegExp(source, "u")];
    expect(TEXTS.filter((text) => accepts(automaton, text) !== expression.test(text))).toEqual([]);
  });

  it("name what can't be followed", () => {
    expect(() => matchAutomaton("(?:a(?=b))+", "pattern")).toThrow(/pattern: .*a lookahead in a part that repeats/);
    expect(() => matchAutomaton("a(?=b^c)", "pattern")).toThrow(/in the middle of a lookahead/);
    expect(() => matchAutomaton(`^${"(?:a(?=b)|b(?!a))?".repeat(12)}$`, "pattern")).toThrow(/too many choices/);
  });
});
