/** Checks and normalises arrays for upload: views, shared or resizable buffers, and arrays of other realms. */

import { ShapeError } from "../base/errors.js";
import type { DType } from "./dtype.js";

/** By `Symbol.toStringTag`, not by class: arrays of other realms have other classes. A Node Buffer is a Uint8Array. */
const TYPES: Readonly<Record<string, DType>> = {
  "[object Float32Array]": "f32",
  "[object Uint32Array]": "u32",
  "[object Uint8Array]": "u8",
  "[object Uint8ClampedArray]": "u8",
};

/** Returns the dtype that an array is uploaded as. Throws ShapeError for unsupported arrays. */
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

/** Returns the bytes of a view; a copy if its buffer is shared or resizable, which some WebGPU implementations reject. */
export function plainBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  const plain = buffer instanceof ArrayBuffer && !(buffer as ArrayBuffer & { resizable?: boolean }).resizable;
  return plain ? bytes : new Uint8Array(bytes);
}

/** Writes a view's bytes to a buffer; a last word that is not complete is filled with zeros. */
export function writeBytes(queue: GPUQueue, buffer: GPUBuffer, offsetBytes: number, data: ArrayBufferView): void {
  const whole = data.byteLength & ~3;
  const bytes = plainBytes(data);
  queue.writeBuffer(buffer, offsetBytes, bytes.buffer, bytes.byteOffset, whole);
  if (whole === data.byteLength) return;
  const tail = new Uint8Array(4);
  tail.set(bytes.subarray(whole));
  queue.writeBuffer(buffer, offsetBytes + whole, tail);
}
