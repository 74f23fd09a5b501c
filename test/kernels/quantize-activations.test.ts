import { expect, it } from "vitest";
import { quantizedActivations } from "../../src/bench/reference/quantize-activations.js";
import { quantizeActivations } from "../../src/kernels/quantize-activations.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const GROUP = 32;

it.each([
  [1, 4],
  [1, 32],
  [3, 100],
  [70, 896],
])("quantises %i rows of %i values by groups of 32", async (rows, width) => {
  const { device } = held;
  // Magnitudes from 1e-30 to 1e4, and a group of zeros.
  const x = normals(rows * width, 5).map((v, i) => v * 10 ** (4 - 17 * (Math.floor(i / GROUP) % 3)));
  x.fill(0, 0, Math.min(width, GROUP));
  const [bytes, scales] = device.scope(() => {
    const found = quantizeActivations(device.upload(x, [rows, width], "x"), width / 4);
    return [found.bytes, found.scales] as const;
  });
  const integers = new Int8Array((await bytes.read("u32")).buffer);
  const factors = await scales.read();
  for (const tensor of [bytes, scales]) tensor.dispose();
  const truth = quantizedActivations(x, rows);
  const groups = Math.ceil(width / GROUP);
  expect(integers.length).toBe(rows * groups * GROUP);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const at = row * groups + g;
      const own = integers.subarray(at * GROUP, (at + 1) * GROUP);
      const [scale, sum] = [factors[2 * at]!, factors[2 * at + 1]!];
      for (let i = 0; i < GROUP; i++) {
        const column = g * GROUP + i;
        const wanted = column < width ? truth[row * width + column]! : 0;
        // Ties may round to either side.
        expect(Math.abs(own[i]! * scale - wanted)).toBeLessThanOrEqual(scale * 1e-4);
      }
      const whole = own.reduce((total, n) => total + n, 0);
      expect(Math.abs(sum - scale * whole)).toBeLessThanOrEqual(1e-5 * Math.abs(sum) + 1e-37);
    }
  }
});
