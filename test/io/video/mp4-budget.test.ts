import { expect, it } from "vitest";
import { IndexBudget } from "../../../src/io/video/mp4-budget.js";

it("gives entries by the size of the file, up to what a process may hold", () => {
  const box = { type: "st\x1bz", offsetBytes: 7 };
  const small = new IndexBudget("clip", 1000);
  const entries = small.entries;
  expect(entries).toBeGreaterThan(150_000);
  small.take(entries, box);
  expect(small.entries).toBe(0);
  expect(() => small.take(1, box)).toThrow(
    `clip, box "st\\x1bz" at byte 7: expected at most ${entries} entries in the index of a file of 1000 bytes, got ${entries + 1}`,
  );
  expect(new IndexBudget("clip", 100e6).entries).toBeGreaterThan(1_000_000);
  expect(new IndexBudget("clip", 2 ** 50).entries).toBe(2 ** 22);
});
