import { expect, test } from "vitest";
import { COLUMNS, cellsOf, detailText } from "../../src/bench/cells.js";
import { measurement } from "../support/measurement.js";

test("a measurement has a cell for every column, and dashes for what it has not", () => {
  const copy = measurement({ name: "copy", medianMs: 0.12345, gigabytesPerSecond: 3, share: 0.256, relativeError: 0 });
  const cells = cellsOf(copy);
  expect(Object.keys(cells)).toEqual([...COLUMNS]);
  expect(cells).toMatchObject({ "median ms": "0.1235", "GFLOP/s": "–", "GB/s": "3.00", "Gw/s": "–", share: "26 %" });
  const row = measurement({ kind: "row product", flops: 1, gflops: 12.34, gigaweightsPerSecond: 6.789, medianMs: 1.5 });
  expect(cellsOf(row)).toMatchObject({ "median ms": "1.50", "GFLOP/s": "12.3", "Gw/s": "6.79" });
});

test.each([
  [3, "3"],
  [2.34567, "2.35"],
  [23.4567, "23.5"],
  [234.567, "235"],
])("the figure %d is written %s", (value, text) => {
  expect(detailText(value)).toBe(text);
});
