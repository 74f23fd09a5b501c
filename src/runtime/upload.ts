/** What programs upload to tensors: arrays whose memory may be larger than they are, shared, or of another realm. */
import type { DType } from "./dtype.js";
import { ShapeError } from "./errors.js";

/** By their brand, not by class: arrays of another realm have classes of their own. A Node Buffer is a Uint8Array. */
const TYPES: Readonly<Record<string, DType>> = {
  "[object Float32Array]": "f32",
  "[object Uint32Array]": "u32",
  "[object Uint8Array]": "u8",
  "[object Uint8ClampedArray]": "u8",
};

/** The element type that an array is uploaded as. Throws ShapeError for other kinds of arrays. */
export function uploadedType(data: unknown, label: string): DType {
  const brand = Object.prototype.toString.call(data);
  const dtype = TYPES[brand];
  if (dtype) return dtype;
  throw new ShapeError({
    where: `upload of ${label}`,
    expected: "a Float32Array, a Uint32Array or a Uint8Array",
    got: brand.slice(8, -1),
    remedy: "convert it to one of these",
  });
}

/** The bytes in view; copied where the memory is shared or can be resized, since implementations of WebGPU differ in taking such. */
export function plainBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  const plain = buffer instanceof ArrayBuffer && !(buffer as ArrayBuffer & { resizable?: boolean }).resizable;
  return plain ? bytes : new Uint8Array(bytes);
}
