import { expect, test } from "vitest";
import { rateFactor } from "../../src/training/schedule.js";

// Values of transformers' get_cosine_schedule_with_warmup(optimizer, 2, 10) and get_constant_schedule_with_warmup(optimizer, 4).

test("cosine with warm-up", () => {
  const factors = Array.from({ length: 10 }, (_, i) => rateFactor("cosine", i + 1, 10, 2));
  const wanted = [0, 0.5, 1, 0.96194, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.03806];
  for (const [i, value] of wanted.entries()) expect(factors[i]).toBeCloseTo(value, 5);
});

test("constant, with and without warm-up", () => {
  expect([1, 2, 9].map((step) => rateFactor("constant", step, 10, 0))).toEqual([1, 1, 1]);
  expect([1, 2, 5].map((step) => rateFactor("constant", step, 10, 4))).toEqual([0, 0.25, 1]);
});
