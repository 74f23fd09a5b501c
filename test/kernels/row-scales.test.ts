import { expect, it } from "vitest";
import { rowScales as reference } from "../../src/bench/reference/row-scales.js";
import { rowScales } from "../../src/kernels/row-scales.js";
import { expectSame } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

it("the reference scales the largest of a row to [2^14, 2^15)", () => {
  expect([...reference([1, -3, 2 ** 15, 0, 0, 0, -(2 ** -40), 2 ** -41], 4)]).toEqual([2 ** 13, 0.5, 2 ** 77, 2 ** 54]);
});

it.each([1, 4, 64, 300])("rows of %i quads", async (quads) => {
  const { device } = held;
  const magnitudes = [1, 1e-6, 2e5, 1e38, 0, 1e-30, 2 ** 14, -(2 ** 15)];
  const x = normals(magnitudes.length * 4 * quads, quads);
  for (let i = 0; i < x.length; i++) x[i]! *= magnitudes[Math.floor(i / (4 * quads))]!;
  const shape = [magnitudes.length, 4 * quads];
  const got = await result(device, () => rowScales(device.upload(x, shape, "x"), quads));
  expectSame(got, Float32Array.from(reference(x, magnitudes.length)));
});
