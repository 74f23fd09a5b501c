import { CheckpointError } from "../base/errors.js";
import type { IndexedTensor } from "../io/checkpoint.js";
import { GROUP_ELEMENTS, type QuantizedType, quantizedRowBytes } from "../io/safetensors.js";
import { widenBF16, widenF16 } from "../runtime/dtype.js";

type StoredType = "f32" | "f16" | "bf16" | QuantizedType;

/** Magnitudes from here on are infinite in f16, rounded to nearest. */
const F16_END = 65520;

/** Magnitudes from here on do not fit a storage dtype. The scales of q8 and the minima of q4 are f16. */
const END: Readonly<Record<StoredType, number>> = {
  f32: Number.POSITIVE_INFINITY,
  bf16: 2 ** 127 * (2 - 2 ** -8),
  f16: F16_END,
  q8: 127 * F16_END,
  q4: F16_END,
};
/** Bits of infinity in f16. */
const F16_INFINITY = 0x7c00;

/** Some rows of a stored tensor. */
export interface StoredRows {
  readonly name: string;
  readonly stored: IndexedTensor;
  readonly type: StoredType;
  /** Dtype in which they are stored on the device. */
  readonly target: StoredType;
  readonly firstRow: number;
  /** Elements of a row. */
  readonly inner: number;
}

/**
 * Checks that all elements are finite, and fit the storage dtype. Throws CheckpointError with tensor, row and column. A pass of integer
 * operations over the words, without a branch: 2 to 3 GB/s on one core.
 */
export function checkRange(bytes: Uint8Array, rows: StoredRows): void {
  const { type, target, inner } = rows;
  if (type === "q8" || type === "q4") {
    if (!scalesFit(bytes, type, inner)) throw beyond(rows, firstScale(bytes, type, inner));
    return;
  }
  const end = new Uint32Array(Float32Array.of(END[target]).buffer)[0]!;
  // The smallest bits of the stored type that are at or above the end.
  const endBits = type === "f32" ? end : type === "bf16" ? (end + 0xffff) >>> 16 : F16_INFINITY;
  if (!(type === "f32" ? fits32(words(bytes), endBits) : fits16(bytes, endBits))) {
    throw beyond(rows, firstElement(bytes, type, endBits));
  }
}

function words(bytes: Uint8Array): Int32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}

/** The sum of a magnitude and 2³¹ − end has its sign bit set from the end on. */
function fits32(values: Int32Array, endBits: number): boolean {
  const add = (0x80000000 - endBits) | 0;
  const { length } = values;
  let any = 0;
  for (let i = 0; i < length; i++) any |= ((values[i]! & 0x7fffffff) + add) | 0;
  return any >= 0;
}

/** The same for both halves of a word: no sum carries into the other. */
function fits16(bytes: Uint8Array, endBits: number): boolean {
  const values = words(bytes);
  const add = ((0x8000 - endBits) * 0x10001) | 0;
  const { length } = values;
  let any = 0;
  for (let i = 0; i < length; i++) any |= ((values[i]! & 0x7fff7fff) + add) | 0;
  const isOdd = bytes.length % 4 === 2;
  if (isOdd) any |= ((bytes.at(-2)! | (bytes.at(-1)! << 8)) & 0x7fff) + 0x8000 - endBits;
  return (any & 0x80008000) === 0;
}

/** Where the scales of a row of quantised elements are, in words. */
function* scaleWords(type: QuantizedType, inner: number): Generator<number> {
  const groups = Math.ceil(inner / GROUP_ELEMENTS);
  const count = type === "q4" ? groups : Math.ceil(groups / 2);
  for (let i = 0; i < count; i++) yield type === "q4" ? 5 * i + 4 : groups * (GROUP_ELEMENTS / 4) + i;
}

function scalesFit(bytes: Uint8Array, type: QuantizedType, inner: number): boolean {
  const values = words(bytes);
  const places = [...scaleWords(type, inner)];
  const rowWords = quantizedRowBytes(type, inner) / 4;
  const add = (0x8000 - F16_INFINITY) * 0x10001;
  let any = 0;
  for (let row = 0; row < values.length; row += rowWords) {
    for (let i = 0; i < places.length; i++) any |= ((values[row + places[i]!]! & 0x7fff7fff) + add) | 0;
  }
  return (any & 0x80008000) === 0;
}

/** The first element at or beyond the end; its index counts from the first row. */
function firstElement(bytes: Uint8Array, type: "f32" | "f16" | "bf16", endBits: number): { at: number; value: number } {
  const own = bytes.slice();
  const bits = type === "f32" ? new Uint32Array(own.buffer) : new Uint16Array(own.buffer);
  const sign = type === "f32" ? 0x7fffffff : 0x7fff;
  const at = bits.findIndex((value) => (value & sign) >= endBits);
  if (bits instanceof Uint32Array) return { at, value: new Float32Array(own.buffer)[at]! };
  const [value] = type === "f16" ? widenF16(bits.slice(at, at + 1)) : widenBF16(bits.slice(at, at + 1));
  return { at, value: value! };
}

/** The first scale or minimum that is not finite. */
function firstScale(bytes: Uint8Array, type: QuantizedType, inner: number): { at: number; value: number } {
  const values = words(bytes);
  const rowWords = quantizedRowBytes(type, inner) / 4;
  for (let row = 0; row * rowWords < values.length; row++) {
    for (const place of scaleWords(type, inner)) {
      const both = widenF16(
        Uint16Array.of(values[row * rowWords + place]! & 0xffff, values[row * rowWords + place]! >>> 16),
      );
      const value = both.find((half) => !Number.isFinite(half));
      if (value !== undefined) return { at: row * inner, value };
    }
  }
  throw new Error("no scale is infinite");
}

function beyond(rows: StoredRows, { at, value }: { at: number; value: number }): CheckpointError {
  const { name, stored, type, target, firstRow, inner } = rows;
  const isScale = type === "q8" || type === "q4";
  const column = inner === 1 || isScale ? "" : `, column ${at % inner}`;
  const where = `${stored.source.name}: tensor ${name}, row ${firstRow + Math.floor(at / inner)}${column}`;
  if (Number.isFinite(value)) {
    return new CheckpointError({
      where,
      expected: `numbers below ${END[target].toLocaleString("en")}, which ${target} can hold`,
      got: String(value),
      remedy: 'load it with dtype "bf16" or "f32"',
    });
  }
  return new CheckpointError({
    where,
    expected: isScale ? "finite scales" : "finite numbers",
    got: String(value),
    remedy: "download the file again; if the published file has it too, the checkpoint is damaged",
  });
}
