import { expect, test } from "vitest";
import { TimeLeft } from "../../src/training/time-left.js";

test("the first step, which compiles, is left out; then the mean of the last twenty counts", () => {
  const left = new TimeLeft();
  expect(left.after(100, 50)).toBeUndefined();
  expect(left.after(2, 10)).toBe(20);
  expect(left.after(4, 10)).toBe(30);
  for (let i = 0; i < 20; i++) left.after(1, 0);
  expect(left.after(1, 7)).toBe(7);
  expect(left.after(1, 0)).toBe(0);
});
