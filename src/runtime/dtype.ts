/**
 * Element type of a tensor. 16-bit floats are packed two to a `u32`, so `shader-f16` is not required. "q8" is one byte per element,
 * followed by one f16 scale per 32 elements.
 */
export type DType = "f32" | "u32" | "f16" | "bf16" | "u8" | "q8";

const BYTES: Record<DType, number> = { f32: 4, u32: 4, f16: 2, bf16: 2, u8: 1, q8: 1 + 2 / 32 };

export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}

/** Returns the number of elements of a shape; 1 for a scalar (empty shape). */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Returns the bytes of a tensor, rounded up to the multiple of 4 that WebGPU copies require. */
export function sizeInBytes(shape: readonly number[], dtype: DType): number {
  return roundUp(elementCount(shape) * bytesPerElement(dtype), 4);
}

/** Returns the smallest multiple of `step` that is at least `value`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

export function showShape(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** Widens IEEE 754 binary16 (half precision) to f32. */
export function widenF16(half: Uint16Array): Float32Array {
  const out = new Float32Array(half.length);
  for (let i = 0; i < half.length; i++) {
    const h = half[i]!;
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}

/** Widens bfloat16, the upper half of an IEEE 754 binary32, to f32. */
export function widenBF16(brain: Uint16Array): Float32Array {
  const bits = new Uint32Array(brain.length);
  for (let i = 0; i < brain.length; i++) bits[i] = brain[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** Rounds to IEEE 754 binary16, to nearest even; values beyond its range become infinite. */
export function narrowF16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const size = bits[i]! & 0x7fffffff;
    const sign = (bits[i]! >>> 16) & 0x8000;
    if (size > 0x7f800000) out[i] = sign | 0x7e00;
    else if (size < 0x38800000) out[i] = sign | tiesToEven(Math.abs(values[i]!) * 2 ** 24);
    else out[i] = sign | Math.min((size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13, 0x7c00);
  }
  return out;
}

/** Rounds to bfloat16, to nearest even. */
export function narrowBF16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < out.length; i++) out[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) >>> 16;
  return out;
}

function tiesToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
