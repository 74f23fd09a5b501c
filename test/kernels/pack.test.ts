import { describe, expect, test } from "vitest";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { quantizeRows as reference } from "../../src/bench/reference/pack.js";
import { gather } from "../../src/kernels/gather.js";
import { pack, quantizeRows, type SourceType } from "../../src/kernels/pack.js";
import { PackedMatrix, type WeightType } from "../../src/kernels/packed.js";
import { widenQuantized } from "../../src/layers/widen.js";
import { narrowBF16, narrowF16, widenBF16, widenF16 } from "../../src/runtime/dtype.js";
import { withBindings } from "../support/adapters.js";
import { result, useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

const held = useDevice();
const QUANTIZED = ["q8", "q4"] as const;

/** Weights of every size, among them rows of zeros, of one value, and of values that f16 hardly or does not hold. */
function weights(rows: number, inner: number): Float32Array {
  const values = normals(rows * inner, 7, 0.05);
  const scales = [1, 0, 1e-3, 3e-5, 1e-6, 1e-12, 1e5];
  return values.map((value, i) => {
    const row = Math.floor(i / inner);
    if (row % 9 === 8) return 0.1;
    return Math.fround(value * scales[row % 9 < 7 ? row % 9 : 0]!);
  });
}

function words(bytes: Uint8Array | Uint16Array | Float32Array): Uint32Array {
  const whole = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  whole.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return new Uint32Array(whole.buffer);
}

/** Values as a checkpoint stores them in a type, and what they are after that. */
function stored(type: SourceType, values: Float32Array, inner: number): { words: Uint32Array; values: Float32Array } {
  if (type === "f32") return { words: words(values), values };
  if (type === "f16") return { words: words(narrowF16(values)), values: widenF16(narrowF16(values)) };
  if (type === "bf16") return { words: words(narrowBF16(values)), values: widenBF16(narrowBF16(values)) };
  const bytes = reference(values, inner, type);
  const shape = [values.length / inner, inner] as const;
  return { words: words(bytes), values: widenQuantized(bytes, { type, shape }) };
}

/** With −0 as 0: the sign of an element whose scale is 0 says nothing. */
function unsigned(values: Float32Array): Float32Array {
  return values.map((value) => value || 0);
}

async function rowsOf(from: SourceType, to: "q8" | "q4", source: Uint32Array, rows: number, inner: number) {
  const { device } = held;
  const packed = device.scope(() => quantizeRows(device.upload(source, [source.length], "W"), from, rows, inner, to));
  const bytes = new Uint8Array(await device.read(packed));
  packed.dispose();
  return bytes;
}

/** Words of the packed matrix, and its elements. */
async function packedOf(from: SourceType, to: WeightType, source: Uint32Array, columns: number, inner: number) {
  const { device } = held;
  const arena = device.arena("packed");
  try {
    const matrix = arena.run(() => {
      const whole = PackedMatrix.allocate(device, columns, inner, to, "W");
      device.scope(() => pack(device.upload(source, [source.length], "source"), from, columns, whole, 0));
      return whole;
    });
    return { words: await matrix.blocks[0]!.tensor.read("u32"), values: await heldMatrix(matrix) };
  } finally {
    arena.dispose();
  }
}

describe.each(QUANTIZED)("to %s", (to) => {
  test.each([
    [1, 1],
    [2, 31],
    [9, 32],
    [10, 33],
    [63, 64],
    [64, 65],
    [65, 97],
    [18, 896],
  ])("rows [%i, %i] are the reference's to the bit", async (rows, inner) => {
    const values = weights(rows, inner);
    expect(await rowsOf("f32", to, words(values), rows, inner)).toEqual(reference(values, inner, to));
  });

  test.each(["f16", "bf16", "q8", "q4"] as const)("from %s", async (from) => {
    const [rows, inner] = [19, 97];
    // In f16 the last factor is infinite, which no scale holds.
    const source = stored(
      from,
      weights(rows, inner).map((value) => Math.min(Math.max(value, -60000), 60000)),
      inner,
    );
    const truth = from === to ? new Uint8Array(source.words.buffer) : reference(source.values, inner, to);
    expect(await rowsOf(from, to, source.words, rows, inner)).toEqual(truth);
  });

  test.each([1, 32, 97])("rows of %i already stored so are packed to the same words", async (inner) => {
    const columns = 64; // whole panels: what lies behind the last column is nobody's
    const values = weights(columns, inner);
    const quantized = stored(to, values, inner);
    const truth = await packedOf("f32", to, words(values), columns, inner);
    const got = await packedOf(to, to, quantized.words, columns, inner);
    expect(got.words).toEqual(truth.words);
    expect(unsigned(got.values)).toEqual(unsigned(quantized.values));
  });

  test("and widened again", async () => {
    const [columns, inner] = [75, 97];
    const { words: source, values } = stored(to, weights(columns, inner), inner);
    expect((await packedOf(to, "f32", source, columns, inner)).values).toEqual(values);
    expect((await packedOf(to, "f16", source, columns, inner)).values).toEqual(widenF16(narrowF16(values)));
    expect((await packedOf(to, "bf16", source, columns, inner)).values).toEqual(widenBF16(narrowBF16(values)));
  });

  test("no element is further off than half a level, and what f16 loses of the ends", async () => {
    const [rows, inner] = [7, 896];
    const values = normals(rows * inner, 3, 0.05);
    const held = stored(to, values, inner).values;
    for (let first = 0; first < values.length; first += 32) {
      const group = values.subarray(first, first + 32);
      const [least, most] = [Math.min(...group), Math.max(...group)];
      const step = to === "q4" ? (most - least) / 15 : Math.max(most, -least) / 127;
      const ends = Math.max(most, -least) * 2 ** -10;
      for (const [i, value] of group.entries()) {
        expect(Math.abs(value - held[first + i]!)).toBeLessThanOrEqual(step / 2 + ends);
      }
    }
  });
});

test.each(["f32", "f16", "bf16"] as const)("%s already stored so keeps every bit", async (type) => {
  const [columns, inner] = [61, 97];
  const next = random(2);
  // Signs, exponents near one and any fraction.
  const half = Uint16Array.from({ length: columns * inner + 1 }, () => {
    const bits = Math.floor(next() * 2 ** 16);
    return type === "f16" ? (bits & 0x83ff) | ((12 + (bits % 4)) << 10) : (bits & 0x807f) | ((124 + (bits % 4)) << 7);
  });
  const values = type === "f32" ? normals(columns * inner, 2) : type === "f16" ? widenF16(half) : widenBF16(half);
  const { values: got } = await packedOf(type, type, words(type === "f32" ? values : half), columns, inner);
  expect(got).toEqual(values.slice(0, columns * inner));
});

test("f16 is rounded to nearest, ties to even, whatever the adapter's own conversion does", async () => {
  const step = 2 ** -24;
  const awkward = [0, 0.5 * step, 0.5000001 * step, 1.5 * step, 1022.5 * step, 1023.5 * step, 2 ** -14, 1e-40, 0.1];
  const values = Float32Array.from(
    [...awkward, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 - 2 ** -12, 65504, 65519, 65520, 1e6, 1 / 3].flatMap((x) => [x, -x]),
  );
  const bits = (values: Float32Array) => [...new Uint32Array(values.buffer)];
  const { values: got } = await packedOf("f32", "f16", words(values), 1, values.length);
  // Infinite ones aside: widening them is left to the adapter, as is the sign of zero.
  const finite = (from: Float32Array) => from.map((x, i) => (Math.abs(values[i]!) < 65520 ? x || 0 : 0));
  expect(bits(finite(got))).toEqual(bits(finite(widenF16(narrowF16(values)))));
});

test("two matrices are interleaved in blocks of 8 columns, across blocks and chunks of rows", async () => {
  const { device } = held;
  const [half, inner] = [48, 8];
  const parts = [normals(half * inner, 1), normals(half * inner, 2)];
  const ids = Uint32Array.from({ length: 2 * half }, (_, i) => i);
  const rows = await result(device, () => {
    const matrix = PackedMatrix.allocate(withBindings(device, 32 * 32 * 4), 2 * half, inner, "f32", "W");
    expect(matrix.blocks.length).toBe(3);
    for (const interleave of [0, 1] as const) {
      for (const [first, count] of [
        [0, 20],
        [20, 28],
      ] as const) {
        const piece = parts[interleave]!.slice(first * inner, (first + count) * inner);
        pack(
          device.upload(new Uint32Array(piece.buffer), [piece.length], "piece"),
          "f32",
          count,
          matrix,
          first,
          interleave,
        );
      }
    }
    return gather(device.upload(ids, [2 * half], "ids"), matrix, "rows");
  });
  const truth = Float32Array.from({ length: 2 * half * inner }, (_, at) => {
    const column = Math.floor(at / inner);
    const row = Math.floor(column / 16) * 8 + (column % 8);
    return parts[column % 16 < 8 ? 0 : 1]![row * inner + (at % inner)]!;
  });
  expect(rows).toEqual(truth);
});
