import { GROUP_ELEMENTS, type QuantizedMatrix, quantizedRowBytes } from "../io/safetensors.js";
import { widenBF16, widenF16 } from "../runtime/dtype.js";

export type FloatType = "f32" | "f16" | "bf16";

/** Widens stored floats to f32. */
export function widen(bytes: Uint8Array, type: FloatType): Float32Array {
  // A copy where the view is not aligned to its elements.
  const at = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  if (type === "f32") return new Float32Array(at.buffer, at.byteOffset, at.length / 4);
  const half = new Uint16Array(at.buffer, at.byteOffset, at.length / 2);
  return type === "f16" ? widenF16(half) : widenBF16(half);
}

/** Dequantises rows of a matrix to f32. */
export function widenQuantized(bytes: Uint8Array, { type, shape }: QuantizedMatrix): Float32Array {
  const inner = shape[1];
  const rowBytes = quantizedRowBytes(type, inner);
  const rows = bytes.length / rowBytes;
  const groups = Math.ceil(inner / GROUP_ELEMENTS);
  const values = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    const own = bytes.slice(row * rowBytes, (row + 1) * rowBytes);
    const halves = widenF16(new Uint16Array(own.buffer));
    for (let k = 0; k < inner; k++) {
      const group = Math.floor(k / GROUP_ELEMENTS);
      const j = k % GROUP_ELEMENTS;
      if (type === "q4") {
        const n = (own[group * 20 + (j >> 1)]! >> (4 * (j & 1))) & 15;
        values[row * inner + k] = n * halves[group * 10 + 8]! + halves[group * 10 + 9]!;
      } else {
        const scale = halves[(groups * GROUP_ELEMENTS) / 2 + group]!;
        values[row * inner + k] = (own[group * GROUP_ELEMENTS + j]! - 128) * scale;
      }
    }
  }
  return values;
}
