import { expect, test } from "vitest";
import { hashOf, randomNumbers, shuffled } from "../../src/training/random.js";

test("numbers depend on the seed alone, and are spread over [0, 1)", () => {
  const [a, b, other] = [randomNumbers(7), randomNumbers(7), randomNumbers(8)];
  const numbers = Array.from({ length: 1000 }, () => a());
  expect(Array.from({ length: 1000 }, () => b())).toEqual(numbers);
  expect(other()).not.toBe(numbers[0]);
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...numbers)).toBeLessThan(1);
  expect(numbers.reduce((sum, value) => sum + value, 0) / 1000).toBeCloseTo(0.5, 1);
});

test("an order has every number once, and another seed another order", () => {
  const order = shuffled(50, 1);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect(shuffled(50, 1)).toEqual(order);
  expect(shuffled(50, 2)).not.toEqual(order);
});

test("a hash of numbers and texts is the same on every machine, and depends on each and on their order", () => {
  expect(hashOf(1, 2, "q")).toBe(hashOf(1, 2, "q"));
  const all = [
    hashOf(),
    hashOf(0),
    hashOf(0, 0),
    hashOf(1, 2),
    hashOf(2, 1),
    hashOf("ab"),
    hashOf("ba"),
    hashOf(2 ** 31),
  ];
  expect(new Set(all).size).toBe(all.length);
  for (const hash of all) expect([Number.isInteger(hash), hash >= 0, hash < 2 ** 32]).toEqual([true, true, true]);
  expect(hashOf(7, 3, 1, "q")).toBe(4_019_966_930);
});
