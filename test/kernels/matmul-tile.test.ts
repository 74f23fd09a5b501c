import { expect, it } from "vitest";
import { TILES, tileFor } from "../../src/kernels/matmul-tile.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkFused, checkGated, WEIGHT_TYPES } from "../support/products.js";

// The product of many rows on GPUs, computed by the adapter of the tests.

const held = useDevice();
const ran = useFacts(held, ADAPTERS["GPU, no subgroups"]!);

it.each([
  [17, 1, 3],
  [32, 32, 64],
  [33, 33, 65],
  [64, 588, 144],
  [65, 64, 97],
  [131, 40, 33],
])("%i rows of %i by %i columns", async (rows, inner, columns) => {
  await checkFused(held.device, rows, inner, columns, "f32");
  expect(ran).toContain("matmulTile");
});

// How weights are read is the same in any tile, and a larger one compiles longer.
it.each(WEIGHT_TYPES)("29 rows, weights in %s", async (type) => {
  await checkFused(held.device, 29, 97, 75, type);
  expect(ran).toContain("matmulTile");
});

it.each([17, 70])("%i rows, norm before and SwiGLU after", async (rows) => {
  await checkGated(held.device, rows, 208);
  expect(ran).toContain("matmulTile");
});

// test/kernels/tunables.test.ts computes with it.
it("the largest tile where it leaves enough of them", () => expect(tileFor(1024, 4096)).toBe(TILES.large));

it("small tiles for few rows or columns", () => {
  expect(tileFor(32, 1e5)).toBe(TILES.low);
  expect(tileFor(729, 896)).toBe(TILES.middle);
});
