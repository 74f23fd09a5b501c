import { expect, test } from "vitest";
import { randomNumbers, shuffled } from "../../src/training/random.js";

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
