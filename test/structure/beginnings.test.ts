import { expect, it } from "vitest";
import { byBeginning } from "../../src/structure/beginnings.js";
import { Machine } from "../../src/structure/machine.js";
import { choice, text } from "../../src/structure/pattern.js";
import { reads } from "../support/machine-reads.js";

const WORDS = ["", "a", "ab", "abc", "abd", "b", "bä", "bäh", "bö", "a", "😀", "😁"];

it("options with one beginning are read as one", () => {
  expect(byBeginning(WORDS.map(text))).toHaveLength(5);
  const machine = new Machine(choice(...WORDS.map(text)));
  for (const word of WORDS) expect(reads(machine, word), word).toBe(true);
  for (const other of ["c", "aba", "bähs", "abcd", "😂"]) expect(reads(machine, other), other).toBe(false);
  expect(machine.step(machine.start, 0x62)!.places.length).toBeLessThan(3);
});

it("few options stay as they are", () => {
  const few = ["a", "ab"].map(text);
  expect(byBeginning(few)).toBe(few);
});
