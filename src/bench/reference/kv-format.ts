import type { CacheType } from "../../kernels/kv-format.js";
import { widenF16 } from "../../runtime/dtype.js";

/** Decodes the bytes of a KV-cache tensor to elements `[rows, stride]`. */
export function storedRows(bytes: ArrayBuffer, type: CacheType, rows: number, stride: number): Float32Array {
  const count = rows * stride;
  if (type === "f32") return new Float32Array(bytes, 0, count);
  if (type === "f16") return widenF16(new Uint16Array(bytes, 0, count));
  const levels = new Int8Array(bytes, 0, count);
  const scales = widenF16(new Uint16Array(bytes, count, count / 32));
  return Float32Array.from(levels, (level, i) => Math.max(level / 127, -1) * scales[i >> 5]!);
}
