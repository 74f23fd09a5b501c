import { expect, test } from "vitest";
import { spreadOf } from "../../src/bench/spread.js";

test("percentiles are values that were measured, by nearest rank", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(spreadOf(hundred)).toEqual({ p50: 50, p95: 95, p99: 99 });
  expect(spreadOf([3])).toEqual({ p50: 3, p95: 3, p99: 3 });
  expect(spreadOf([2, 1])).toEqual({ p50: 1, p95: 2, p99: 2 });
  expect(spreadOf([])).toBeUndefined();
});
