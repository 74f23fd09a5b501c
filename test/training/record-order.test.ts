import { expect, test } from "vitest";
import { randomNumbers, shuffled } from "../../src/training/random.js";
import { groupedByLength, RecordOrder } from "../../src/training/record-order.js";

const sorted = (order: readonly number[]): number[] => [...order].sort((a, b) => a - b);
const take = (order: RecordOrder, from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => order.at(from + i));

test("in the order of the data, pass after pass", () => {
  const order = new RecordOrder({ count: 3, shuffle: false, seed: 1, batch: 2 });
  expect(take(order, 0, 7)).toEqual([0, 1, 2, 0, 1, 2, 0]);
});

test("shuffled, each pass has all records in another order, from any position on", () => {
  const options = { count: 20, shuffle: true, seed: 1, batch: 3 };
  const all = take(new RecordOrder(options), 0, 40);
  expect(all.slice(0, 20)).toEqual(shuffled(20, 1));
  expect(sorted(all.slice(20))).toEqual(sorted(all.slice(0, 20)));
  expect(all.slice(20)).not.toEqual(all.slice(0, 20));
  expect(take(new RecordOrder(options), 17, 10)).toEqual(all.slice(17, 27));
});

const random = randomNumbers(5);
const LENGTHS = Array.from({ length: 1000 }, () => Math.floor(1 + 999 * random() ** 3));

/** Mean over the batches of the longest length less the shortest. */
function spread(order: readonly number[], batch: number): number {
  let sum = 0;
  for (let first = 0; first < order.length; first += batch) {
    const own = order.slice(first, first + batch).map((i) => LENGTHS[i]!);
    sum += Math.max(...own) - Math.min(...own);
  }
  return (sum * batch) / order.length;
}

test("records of a step have similar lengths, and the longest of all is in the first", () => {
  const order = groupedByLength(LENGTHS, 8, 3);
  expect(sorted(order)).toEqual(LENGTHS.map((_, i) => i));
  expect(LENGTHS[order[0]!]).toBe(Math.max(...LENGTHS));
  expect(spread(order, 8)).toBeLessThan(0.1 * spread(shuffled(1000, 3), 8));
});

test("grouped by length, the order is that of the seed and the pass, from any position on", () => {
  const options = { count: 1000, shuffle: false, seed: 3, batch: 8, lengths: LENGTHS };
  const all = take(new RecordOrder(options), 0, 2000);
  expect(all.slice(0, 1000)).toEqual(groupedByLength(LENGTHS, 8, 3));
  expect(all.slice(1000)).not.toEqual(all.slice(0, 1000));
  expect(take(new RecordOrder(options), 990, 30)).toEqual(all.slice(990, 1020));
  expect(take(new RecordOrder({ ...options, seed: 4 }), 0, 1000)).not.toEqual(all.slice(0, 1000));
});

test.each([
  [1, 1],
  [3, 1],
  [3, 5],
  [9, 2],
])("%i records in steps of %i", (count, batch) => {
  expect(sorted(groupedByLength(LENGTHS.slice(0, count), batch, 0))).toEqual(sorted(shuffled(count, 0)));
});
