import { expect, it } from "vitest";
import {
  chars,
  choice,
  EMPTY,
  fewestBytes,
  NEVER,
  optional,
  Rule,
  repeat,
  sequence,
  text,
} from "../../src/structure/pattern.js";

it("the shortest text of a pattern has these bytes", () => {
  const infinite = Number.POSITIVE_INFINITY;
  expect(["", "a", "é", "日", "😀", "aé日😀"].map((one) => fewestBytes(text(one)))).toEqual([0, 1, 2, 3, 4, 10]);
  expect(fewestBytes(choice(text("abc"), text("日"), text("é")))).toBe(2);
  expect(fewestBytes(sequence(optional(text("abc")), text("d")))).toBe(1);
  expect([repeat(text("ab"), 3, infinite), repeat(NEVER, 0, 2), repeat(NEVER, 1, 2)].map(fewestBytes)).toEqual([
    6,
    0,
    infinite,
  ]);
  expect([EMPTY, NEVER, chars([])].map(fewestBytes)).toEqual([0, infinite, infinite]);
  expect(() => fewestBytes(new Rule("a"))).toThrow("a rule within a character");
});

it("a repetition that must have more than it may has no text", () => {
  expect(repeat(text("a"), 3, 2)).toBe(NEVER);
});

it("half of a surrogate pair is no character", () => {
  expect(fewestBytes(text("\ud83d"))).toBe(Number.POSITIVE_INFINITY);
});
