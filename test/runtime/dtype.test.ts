import { expect, test } from "vitest";
import { narrowBF16, narrowF16, widenBF16, widenF16 } from "../../src/runtime/dtype.js";

const all = Uint16Array.from({ length: 65536 }, (_, i) => i);

test("every half float survives widening and narrowing", () => {
  const numbers = all.filter((half) => (half & 0x7c00) !== 0x7c00 || (half & 0x3ff) === 0);
  expect(narrowF16(widenF16(numbers))).toEqual(numbers);
  const brains = all.filter((half) => (half & 0x7f80) !== 0x7f80 || (half & 0x7f) === 0);
  expect(narrowBF16(widenBF16(brains))).toEqual(brains);
});

test("narrowing goes to the nearest, in the middle to the even one", () => {
  const values = [
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    1 + 2 ** -11 + 2 ** -20,
    2 ** -25,
    3 * 2 ** -25,
    2048 - 0.5,
    65519,
    65520,
  ];
  const got = [...widenF16(narrowF16(Float32Array.from(values)))];
  expect(got).toEqual([1, 1 + 2 ** -9, 1 + 2 ** -10, 0, 2 ** -23, 2048, 65504, Number.POSITIVE_INFINITY]);
  const brains = [...widenBF16(narrowBF16(Float32Array.from([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8 - 2 ** -20])))];
  expect(brains).toEqual([1, 1 + 2 ** -6, -1 - 2 ** -7]);
  expect(widenF16(narrowF16(Float32Array.of(Number.NaN)))[0]).toBeNaN();
});
