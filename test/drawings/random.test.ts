import { expect, test } from "vitest";
import { Random } from "../../src/drawings/random.js";

test("the numbers of a seed are those of mulberry32, and lie in [0, 1)", () => {
  // Of an independent implementation, seed 1.
  const random = new Random(1);
  expect([random.next(), random.next(), random.next()]).toEqual([
    0.6270739405881613, 0.002735721180215478, 0.5274470399599522,
  ]);
  const many = Array.from({ length: 10_000 }, () => random.next());
  expect(Math.min(...many)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...many)).toBeLessThan(1);
  expect(many.reduce((sum, value) => sum + value) / many.length).toBeCloseTo(0.5, 1);
});

test("whole numbers include both ends, and choices are different items", () => {
  const random = new Random(2);
  const found = new Set(Array.from({ length: 200 }, () => random.whole(3, 5)));
  expect([...found].sort()).toEqual([3, 4, 5]);
  for (let i = 0; i < 50; i++) expect(new Set(random.some([1, 2, 3, 4], 3)).size).toBe(3);
});
