/**
 * Bytes that a caller gives. They stay the caller's: every input copies them before anything looks at them, because a view may lie in
 * a larger buffer at an odd offset (a Node Buffer mostly does), may be shared with a thread that writes into it (many web APIs refuse
 * such views), and because `slice` of a Node Buffer is a view and not a copy.
 */
import { MediaError } from "../runtime/errors.js";

/** Longest picture or clip that is decoded from memory: a guard against a path that is neither. */
export const MAX_MEDIA_BYTES = 512 * 1024 * 1024;

/** What holds bytes: typed arrays and DataViews (a Node Buffer is one), ArrayBuffers and SharedArrayBuffers. */
export type Bytes = ArrayBufferView | ArrayBufferLike;

/** By their brand, not by class: bytes of another realm (a frame of the page, a `vm` context, Jest) have classes of their own. */
export function isBytes(value: unknown): value is Bytes {
  if (ArrayBuffer.isView(value)) return true;
  return /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value));
}

/** The same memory as a plain Uint8Array of exactly the bytes in view. Throws MediaError for a buffer that was transferred away. */
export function viewOf(bytes: Bytes, where: string): Uint8Array {
  try {
    if (!ArrayBuffer.isView(bytes)) return new Uint8Array(bytes);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (cause) {
    throw new MediaError({
      where,
      expected: "bytes that are still there",
      got: "a buffer that was transferred away or made shorter",
      remedy: "give the bytes before they are transferred, or a copy of them",
      cause,
    });
  }
}

/** A copy that fills memory of its own, neither shared nor resizable. Throws what {@link viewOf} throws. */
export function copyOf(bytes: Bytes, where: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(viewOf(bytes, where));
}

/** `length` bytes from `start` as Latin-1 text. */
export function asciiAt(bytes: Uint8Array, start: number, length: number): string {
  let text = "";
  for (const byte of bytes.subarray(start, start + length)) text += String.fromCharCode(byte);
  return text;
}

/** A view on the bytes for numbers of more than one byte. */
export function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One array of all parts, one after the other. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
