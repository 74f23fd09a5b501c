import { describe, expect, it } from "vitest";
import { accepts } from "../../src/structure/automata.js";
import {
  type Automaton,
  automatonOf,
  intersection,
  isEmpty,
  otherThan,
  patternOf,
} from "../../src/structure/automaton.js";
import { PatternFault } from "../../src/structure/fault.js";
import { Machine } from "../../src/structure/machine.js";
import { type Pattern, Rule, repeat, text } from "../../src/structure/pattern.js";
import { someMatch } from "../../src/structure/regex.js";
import { reads } from "../support/machine-reads.js";

const of = (source: string): Automaton => automatonOf(someMatch(`^(?:${source})$`, "") as Pattern);
const TEXTS = ["", "a", "b", "aa", "ab", "ba", "bb", "aab", "abab", "é", "aé", "😀", "a😀b"];

it.each(["", "a*", "(?:ab|a)*b?", "a{2,3}|b", "[^a]+", "(?:a?b?){2}"])("%s is read as RegExp reads it", (source) => {
  const [automaton, expression] = [of(source), new RegExp(`^(?:${source})$`, "u")];
  expect(TEXTS.filter((one) => accepts(automaton, one) !== expression.test(one))).toEqual([]);
  const machine = new Machine(patternOf(automaton));
  expect(TEXTS.filter((one) => reads(machine, one) !== expression.test(one))).toEqual([]);
});

describe("an intersection", () => {
  it.each([
    ["a*b?", ".{2,}"],
    ["[^a]*", "é|😀|a"],
    ["(?:ab)*", "(?:abab)*"],
  ])("of %s and %s has the texts of both", (a, b) => {
    const both = intersection(of(a), of(b));
    const has = (source: string, one: string) => new RegExp(`^(?:${source})$`, "u").test(one);
    expect(TEXTS.filter((one) => accepts(both, one) !== (has(a, one) && has(b, one)))).toEqual([]);
    expect(isEmpty(both)).toBe(false);
  });

  it("may be empty", () => {
    expect(isEmpty(intersection(of("a+"), of("b+")))).toBe(true);
    expect(isEmpty(intersection(of("(?:aa)+"), of("a(?:aa)*")))).toBe(true);
  });

  it("that would be too large is a fault", () => {
    expect(() => intersection(of("(?:.?){90}"), of("(?:.?){90}"))).toThrow(PatternFault);
  });
});

it("other texts than some are all but these, their beginnings and what goes on included", () => {
  const automaton = otherThan(["", "ab", "a😀b"]);
  const all = [...TEXTS, "abc", "a😀", "a😀bb"];
  expect(all.filter((one) => !accepts(automaton, one))).toEqual(["", "ab", "a😀b"]);
  expect(TEXTS.filter((one) => !accepts(otherThan([]), one))).toEqual([]);
});

it("parts that repeat too often, and rules, are refused", () => {
  expect(() => automatonOf(repeat(repeat(text("a"), 0, 300), 1, 300))).toThrow(PatternFault);
  expect(() => automatonOf(new Rule("a"))).toThrow("a rule within a regular pattern");
});
