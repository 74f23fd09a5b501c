import { expect, test } from "vitest";
import { MOST_SPLITS, STEP_LANES, splitsFor } from "../../src/kernels/kv-splits.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";

const factsOf = (onCPU: boolean) => ({ onCPU, tuning: {} }) as unknown as AdapterFacts;

test("splits have all keys, none is empty, and each begins at a multiple of the keys that are taken at once", () => {
  for (const keys of [1, 63, 64, 65, 1000, 8191, 200_000]) {
    for (const most of [1, 3, MOST_SPLITS]) {
      const { splitKeys, count } = splitsFor(keys, factsOf(false), most);
      expect(splitKeys % STEP_LANES).toBe(0);
      expect(count).toBeLessThanOrEqual(most);
      expect((count - 1) * splitKeys).toBeLessThan(keys);
      expect(count * splitKeys).toBeGreaterThanOrEqual(keys);
    }
  }
});

test("CPU adapters have one split; GPUs more for more keys, up to a number", () => {
  expect(splitsFor(9000, factsOf(true)).count).toBe(1);
  const counts = [64, 1000, 9000].map((keys) => splitsFor(keys, factsOf(false)).count);
  expect(counts).toEqual([...counts].sort((a, b) => a - b));
  expect(counts[0]).toBe(1);
  expect(counts[2]).toBeGreaterThan(8);
  expect(splitsFor(10 ** 7, factsOf(false)).count).toBeLessThanOrEqual(MOST_SPLITS);
});
