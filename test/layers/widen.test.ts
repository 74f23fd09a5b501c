import { expect, test } from "vitest";
import { quantizeRows } from "../../src/bench/reference/pack.js";
import { widen, widenQuantized } from "../../src/layers/widen.js";
import { narrowF16, widenF16 } from "../../src/runtime/dtype.js";
import { normals } from "../support/random.js";

const bytesOf = (values: Float32Array | Uint16Array) => new Uint8Array(values.buffer);

test("stored floats are widened from any offset", () => {
  const values = normals(5, 1);
  const bytes = bytesOf(values);
  const odd = new Uint8Array(bytes.length + 3);
  odd.set(bytes, 3);
  expect(widen(odd.subarray(3), "f32")).toEqual(values);
  odd.set(bytesOf(narrowF16(values)), 1);
  expect(widen(odd.subarray(1, 11), "f16")).toEqual(widenF16(narrowF16(values)));
});

test.each(["q8", "q4"] as const)("%s is widened to what its scales and levels say", (type) => {
  const [rows, inner] = [3, 40];
  const values = normals(rows * inner, 1);
  const got = widenQuantized(quantizeRows(values, inner, type), { type, shape: [rows, inner] });
  expect(got.length).toBe(rows * inner);
  for (let row = 0; row < rows; row++) {
    for (const [first, end] of [
      [0, 32],
      [32, 40],
    ] as const) {
      const own = values.subarray(row * inner + first, row * inner + end);
      // The rest of a row's last group is zeros.
      const [least, most] = [
        Math.min(...own, ...(end === 40 ? [0] : [])),
        Math.max(...own, ...(end === 40 ? [0] : [])),
      ];
      const step = type === "q4" ? (most - least) / 15 : Math.max(most, -least) / 127;
      for (const [i, value] of own.entries()) {
        const off = Math.abs(got[row * inner + first + i]! - value);
        expect(off).toBeLessThanOrEqual(step / 2 + Math.max(most, -least) * 2 ** -10);
      }
    }
  }
});
