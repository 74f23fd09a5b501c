import { describe, expect, it } from "vitest";
import { layerNorm as layerNormReference, rmsNorm as rmsNormReference } from "../../src/bench/reference/norm.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

const WIDTHS = [1, 31, 32, 33, 61, 144, 896, 1152];

describe("on the adapter of the tests", () => testWidths(WIDTHS));
// Few rows get 256 lanes each.
describe("as on a GPU", () => {
  useFacts(held, ADAPTERS["GPU, no subgroups"]!);
  testWidths([31, 1152, 3584]);
});

function testWidths(widths: readonly number[]): void {
  it.each(widths)("rmsNorm and layerNorm of width %i", async (width) => {
    const { device } = held;
    const x = normals(5 * width, width).map((v) => v + 3);
    const [weight, bias] = [normals(width, 1), normals(width, 2)];
    const rms = await result(device, () =>
      rmsNorm(device.upload(x, [5, width], "x"), device.upload(weight, [width], "weight"), 1e-6),
    );
    expectClose(rms, rmsNormReference(x, weight, 1e-6), "kernel", "rmsNorm");
    if (width === 1) return; // the variance of one number is rounding
    const layer = await result(device, () =>
      layerNorm(
        device.upload(x, [5, width], "x"),
        device.upload(weight, [width], "weight"),
        device.upload(bias, [width], "bias"),
        1e-6,
      ),
    );
    expectClose(layer, layerNormReference(x, weight, bias, 1e-6), "kernel", "layerNorm");
  });
}

it("refuses a weight or bias that is not as wide as the rows", () => {
  const { device } = held;
  device.scope(() => {
    const floats = (label: string, ...shape: number[]) => device.empty(shape, "f32", label);
    const [x, wide, narrow] = [floats("x", 2, 8), floats("wide", 8), floats("narrow", 7)];
    expect(() => rmsNorm(x, narrow, 1e-6)).toThrow(/rmsNorm, tensor narrow: expected \[8\], got \[7\]/);
    expect(() => layerNorm(x, narrow, wide, 1e-6)).toThrow(/layerNorm, tensor narrow: expected \[8\], got \[7\]/);
    expect(() => layerNorm(x, wide, narrow, 1e-6)).toThrow(/layerNorm, tensor narrow: expected \[8\], got \[7\]/);
  });
});
