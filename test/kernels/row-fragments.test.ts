import { expect, it } from "vitest";
import { rowFragments as reference } from "../../src/bench/reference/row-fragments.js";
import { rowScales } from "../../src/bench/reference/row-scales.js";
import { rowFragments } from "../../src/kernels/row-fragments.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const DEPTH = 4;

/** The number that 16 bits of f16 are. */
function fromHalf(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

it("the reference keeps upper bits and remainder, block after block", () => {
  const y = reference([3, 1 + 2 ** -11, -5, 0, 7, 0], [1, 2], { m: 1, k: 2, columns: 4 });
  // Two rows of two blocks, each with the upper bits and then the remainders.
  expect([...y]).toEqual([3, 1, 0, 2 ** -11, -5, 0, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0]);
});

it.each([
  { rows: 16, quads: 4, m: 16, k: 16 },
  { rows: 33, quads: 9, m: 16, k: 16 },
  { rows: 5, quads: 6, m: 8, k: 8 },
])("splits $rows rows of $quads quads into fragments of $m×$k", async ({ rows, quads, m, k }) => {
  const { device } = held;
  const x = normals(rows * quads * 4, 3).map((v, i) => v * [1, 1e-6, 2e5][Math.floor(i / quads / 4) % 3]!);
  const scales = Float32Array.from(rowScales(x, rows));
  const fragments = device.scope(() =>
    rowFragments(device.upload(x, [rows, quads * 4], "x"), device.upload(scales, [rows], "scales"), quads, {
      m,
      k,
      depth: DEPTH,
    }),
  );
  const halves = new Uint16Array((await fragments.read("u32")).buffer);
  fragments.dispose();
  const truth = reference(x, scales, { m, k, columns: Math.ceil(quads / DEPTH) * DEPTH * 4 });
  expect(halves.length).toBe(truth.length);
  truth.forEach((wanted, i) => {
    const isUpper = Math.floor(i / (m * k)) % 2 === 0;
    // Upper bits are exact where f16 is normal; the remainder, which is below 2^5, is rounded.
    const most = isUpper ? 2 ** -24 : Math.max(2 ** -11 * Math.abs(wanted), 2 ** -14);
    expect(Math.abs(fromHalf(halves[i]!) - wanted)).toBeLessThanOrEqual(most);
  });
});
