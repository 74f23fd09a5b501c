/** The RIFF chunks of a WebP file. Source: WebP container specification (RFC 9649, section 2). */
import { asciiAt, dataView } from "../bytes/bytes.js";

/** One chunk of a WebP. */
export interface WebpChunk {
  /** FourCC. */
  type: string;
  data: Uint8Array;
  /** False if the chunk, with its padding byte, exceeds the RIFF size or the file. */
  complete: boolean;
}

export interface WebpFile {
  /** Size of the file according to its RIFF header. */
  declaredBytes: number;
  chunks: Iterable<WebpChunk>;
}

/**
 * Reads the header. The chunks are those up to the RIFF size or the end of the file; each iteration parses them again, since a crafted
 * file can have millions. `bytes` has at least 12 bytes.
 */
export function readWebp(bytes: Uint8Array): WebpFile {
  const declaredBytes = dataView(bytes).getUint32(4, true) + 8;
  const end = Math.min(bytes.length, declaredBytes);
  return { declaredBytes, chunks: { [Symbol.iterator]: () => parse(bytes, end) } };
}

function* parse(bytes: Uint8Array, end: number): Generator<WebpChunk, void, undefined> {
  const view = dataView(bytes);
  let at = 12;
  while (at + 8 <= end) {
    const length = view.getUint32(at + 4, true);
    // A chunk of odd length is followed by a padding byte.
    const next = at + 8 + length + (length & 1);
    yield { type: asciiAt(bytes, at, 4), data: bytes.subarray(at + 8, at + 8 + length), complete: next <= end };
    at = next;
  }
}

/** Returns whether the file has several frames. */
export function isAnimatedWebp(chunks: Iterable<WebpChunk>): boolean {
  for (const { type } of chunks) if (type === "ANIM") return true;
  return false;
}

/** Returns the canvas size of an extended file (VP8X), else the size in the header of the bitstream (VP8L, VP8). */
export function webpSize([first]: Iterable<WebpChunk>): { width: number; height: number } | undefined {
  if (!first) return undefined;
  const { type, data } = first;
  if (type === "VP8X" && data.length >= 10) {
    const uint24 = (at: number) => data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16);
    return { width: uint24(4) + 1, height: uint24(7) + 1 };
  }
  if (type === "VP8L" && data.length >= 5) {
    const bits = dataView(data).getUint32(1, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (type === "VP8 " && data.length >= 10) {
    const view = dataView(data);
    return { width: view.getUint16(6, true) & 0x3fff, height: view.getUint16(8, true) & 0x3fff };
  }
  return undefined;
}
