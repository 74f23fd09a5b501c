import { describe, expect, it } from "vitest";
import { automatonOf } from "../../src/structure/automaton.js";
import { LengthCosts } from "../../src/structure/counted.js";
import { PatternFault } from "../../src/structure/fault.js";
import { Machine } from "../../src/structure/machine.js";
import { type Pattern, repeat, text } from "../../src/structure/pattern.js";
import { someMatch, wholeMatch } from "../../src/structure/regex.js";
import { reads } from "../support/machine-reads.js";

const costs = (source: string, least: number, most: number): LengthCosts => {
  const automaton = automatonOf(someMatch(source, "") as Pattern);
  return new LengthCosts(
    automaton,
    automaton.edges.map((some) => some.map(() => 1)),
    least,
    most,
  );
};

describe("a repetition", () => {
  it.each([
    ["(?:ab){3,6}", ["ab".repeat(3), "ab".repeat(6)], ["ab".repeat(2), "ab".repeat(7), "aba"]],
    ["(?:ab){5,}c", [`${"ab".repeat(5)}c`, `${"ab".repeat(50)}c`], [`${"ab".repeat(4)}c`]],
    ["(?:a?){7}b", ["b", "aaab", `${"a".repeat(7)}b`], [`${"a".repeat(8)}b`]],
    ["(?:a*b?){6}c", ["c", "aabbc", "bbbbbbc", "abababababab".concat("c")], ["bbbbbbbc", "ababababababab".concat("c")]],
    ["(?:a|aa){5,6}b", ["aaaaab", `${"a".repeat(12)}b`], ["aaaab", `${"a".repeat(13)}b`]],
    ["(?:(?:a{5}){5}b){5}", [`${"a".repeat(25)}b`.repeat(5)], [`${"a".repeat(24)}b`.repeat(5)]],
  ])("counts: %s", (source, right, wrong) => {
    const machine = new Machine(wholeMatch(source, ""));
    expect(right.filter((one) => !reads(machine, one))).toEqual([]);
    expect(wrong.filter((one) => reads(machine, one))).toEqual([]);
  });

  it("says how many bytes are left, however many times", () => {
    const machine = new Machine(repeat(repeat(text("ab"), 1000, 2000), 1000, 1000));
    expect(machine.start.cost).toBe(2_000_000);
    expect(machine.step(machine.start, 0x61)!.cost).toBe(1_999_999);
  });
});

describe("LengthCosts", () => {
  it("are the fewest bytes within the limits", () => {
    const some = costs("^a(?:bc)*$", 4, 7);
    // "abcbc" is the shortest with four characters at least.
    expect(some.of(0, 0)).toBe(5);
    expect(some.of(0, 8)).toBe(Number.POSITIVE_INFINITY);
    expect(costs("^a(?:bc)*$", 4, 4).of(0, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it("serve any number of characters, and refuse too many beside a large pattern", () => {
    expect(costs("^[a-z]+$", 1, 1e9).of(0, 0)).toBe(1);
    expect(costs("^[a-z]+$", 100_000, 1e9).of(0, 0)).toBe(100_000);
    expect(() => costs("^[a-z]{1,90}$|^[0-9]+x$", 1e7, 1e9)).toThrow(PatternFault);
  });
});
