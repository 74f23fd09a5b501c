/**
 * Byte inputs. They are copied before use: a view may be part of a larger buffer at an unaligned offset (most Node Buffers are), its
 * memory may be shared with another thread (many web APIs reject such views), and `slice` of a Node Buffer does not copy.
 */
import { MediaError } from "../../base/errors.js";

/** Maximum size of a picture or clip that is decoded from memory. */
export const MAX_MEDIA_BYTES = 512 * 1024 * 1024;

/** Byte containers: typed arrays (Node Buffers included), DataViews, ArrayBuffers and SharedArrayBuffers. */
export type Bytes = ArrayBufferView | ArrayBufferLike;

/** Tests by `Symbol.toStringTag`, not by class: objects of other realms (frames, `vm` contexts, Jest) have other classes. */
export function isBytes(value: unknown): value is Bytes {
  if (ArrayBuffer.isView(value)) return true;
  return /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value));
}

/** Returns a Uint8Array view of exactly these bytes. Throws MediaError for a detached buffer. */
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

/** Copies the bytes to a new ArrayBuffer. Throws MediaError for a detached buffer. */
export function copyOf(bytes: Bytes, where: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(viewOf(bytes, where));
}

/** Decodes `length` bytes from `start` as Latin-1 text. */
export function asciiAt(bytes: Uint8Array, start: number, length: number): string {
  let text = "";
  for (const byte of bytes.subarray(start, start + length)) text += String.fromCharCode(byte);
  return text;
}

/** Returns a DataView of the bytes. */
export function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Concatenates byte arrays. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
