import { expect, test } from "vitest";
import { gemDrawing } from "../../src/drawings/gems.js";

test("a gem is named by its colour, and drawn alike from the same seed", () => {
  const names = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { pictures, turns, kind } = gemDrawing(seed);
    expect([kind, pictures.length, turns.length]).toEqual(["gems", 1, 1]);
    expect(turns[0]!.question).toBe("Which gem is this?");
    names.add(/^The gem is (\w+)\.$/.exec(turns[0]!.answer)![1]!);
  }
  expect([...names].sort()).toEqual(["amber", "amethyst", "emerald", "onyx", "pearl", "ruby", "sapphire", "topaz"]);
  expect(gemDrawing(5)).toEqual(gemDrawing(5));
});
