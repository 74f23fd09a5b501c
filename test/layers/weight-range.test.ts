import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import { quantizedRowBytes } from "../../src/io/checkpoint/quantized.js";
import { checkRange, type StoredRows } from "../../src/layers/weight-range.js";
import { widen } from "../../src/layers/widen.js";
import { random } from "../support/random.js";

const about = (rows: Partial<StoredRows>): StoredRows => ({
  name: "t",
  stored: { source: { name: "model.safetensors" } } as StoredRows["stored"],
  type: "f32",
  target: "f32",
  firstRow: 0,
  inner: 7,
  ...rows,
});

/** The reference: a plain loop over the elements in float64. Returns the index of the first that does not fit. */
function firstBeyond(values: ArrayLike<number>, target: StoredRows["target"]): number {
  const end = { f32: Number.POSITIVE_INFINITY, bf16: 2 ** 128 - 2 ** 119, f16: 65520, q8: 127 * 65520, q4: 65520 }[
    target
  ];
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i]!) < end)) return i;
  return -1;
}

/** Bits at the edges of every range: the largest that fit, the first that do not, infinities and NaN. */
const EDGES = {
  f32: [0x477fefff, 0x477ff000, 0x4afdefff, 0x4afdf020, 0x7f7f7fff, 0x7f7f8000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffffffff, 0x7f800001], // biome-ignore format: one type a line
  bf16: [0x477f, 0x4780, 0xc780, 0x4afd, 0x4afe, 0x7f7f, 0x7f80, 0xff80, 0x7fc0, 0xffff],
  f16: [0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7c01],
};

describe.each(["f32", "bf16", "f16"] as const)("%s elements", (type) => {
  test.each(["f32", "bf16", "f16", "q8", "q4"] as const)("in %s: what the plain loop finds", (target) => {
    const next = random(3);
    for (const bits of EDGES[type]) {
      for (const offset of [0, 2]) {
        // Odd numbers of rows and columns, and bytes that are not aligned to words.
        const [rows, inner] = [5, 7];
        const size = type === "f32" ? 4 : 2;
        const buffer = new ArrayBuffer(8 + rows * inner * size);
        const bytes = new Uint8Array(buffer, offset, rows * inner * size);
        const view = new DataView(buffer, offset);
        const put = (at: number, value: number) =>
          size === 4 ? view.setUint32(4 * at, value, true) : view.setUint16(2 * at, value, true);
        for (let i = 0; i < rows * inner; i++) put(i, Math.floor(next() * (size === 4 ? 0x47000000 : 0x4700)));
        const at = Math.floor(next() * rows * inner);
        put(at, bits);
        const values = widen(bytes.slice(), type);
        const check = () => checkRange(bytes, about({ type, target, inner, firstRow: 100 }));
        const found = firstBeyond(values, target);
        if (found < 0) check();
        else {
          expect(check).toThrow(CheckpointError);
          expect(check).toThrow(`tensor t, row ${100 + Math.floor(found / inner)}, column ${found % inner}: `);
          expect(check).toThrow(Number.isFinite(values[found]!) ? /load it with dtype "bf16"/ : /finite numbers, got/);
        }
      }
    }
  });
});

test.each(["q8", "q4"] as const)("scales of %s", (type) => {
  const inner = 70;
  const rowBytes = quantizedRowBytes(type, inner);
  for (const bits of [0x7bff, 0x7c00, 0xfc00, 0x7e01]) {
    const bytes = new Uint8Array(4 * rowBytes).fill(type === "q8" ? 255 : 0);
    const view = new DataView(bytes.buffer);
    // Levels of all bits set are no scales.
    for (let row = 0; row < 4; row++) {
      if (type === "q8") bytes.fill(0, row * rowBytes + 96, (row + 1) * rowBytes);
      else
        for (let group = 0; group < 3; group++)
          bytes.fill(255, row * rowBytes + 20 * group, row * rowBytes + 20 * group + 16);
    }
    view.setUint16(2 * rowBytes + (type === "q8" ? 96 + 4 : 20 + 18), bits, true);
    const check = () => checkRange(bytes, about({ type, target: type, inner, firstRow: 1 }));
    if (bits === 0x7bff) check();
    else expect(check).toThrow(/tensor t, row 3: expected finite scales, got (NaN|-?Infinity)/);
  }
});
