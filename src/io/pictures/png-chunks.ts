/** The chunks of a PNG file. Source: PNG specification (ISO/IEC 15948), section 5. */
import { dataView } from "../bytes/bytes.js";

const SIGNATURE_BYTES = 8;

/** One chunk of a PNG. The data are a view created on access. */
export class PngChunk {
  constructor(
    readonly file: Uint8Array,
    /** Four letters. */
    readonly type: string,
    /** Offset of the chunk's length field in the file. */
    readonly offsetBytes: number,
    /** Declared length of the data. */
    readonly lengthBytes: number,
  ) {}

  /** The data, possibly truncated. */
  get data(): Uint8Array {
    return this.file.subarray(this.offsetBytes + 8, this.offsetBytes + 8 + this.lengthBytes);
  }

  /** False if the file ends inside the chunk. */
  get complete(): boolean {
    return this.offsetBytes + 12 + this.lengthBytes <= this.file.length;
  }
}

/**
 * Returns the chunks up to IEND or the end of the file; checksums are not verified. Bytes after IEND are ignored. Each iteration parses
 * them again: a list of the millions of chunks that a crafted file can have would take many times its size.
 */
export function pngChunks(bytes: Uint8Array): Iterable<PngChunk> {
  return { [Symbol.iterator]: () => parse(bytes) };
}

function* parse(bytes: Uint8Array): Generator<PngChunk, void, undefined> {
  const view = dataView(bytes);
  let at = SIGNATURE_BYTES;
  while (at + 8 <= bytes.length) {
    const type = String.fromCharCode(bytes[at + 4]!, bytes[at + 5]!, bytes[at + 6]!, bytes[at + 7]!);
    const chunk = new PngChunk(bytes, type, at, view.getUint32(at));
    yield chunk;
    if (!chunk.complete || type === "IEND") return;
    at += 12 + chunk.lengthBytes;
  }
}

/** Returns the size in IHDR, the first chunk; undefined if the file has no IHDR or ends before its size. */
export function pngSize(bytes: Uint8Array, [first]: Iterable<PngChunk>): { width: number; height: number } | undefined {
  if (first?.type !== "IHDR" || bytes.length < 24) return undefined;
  const view = dataView(bytes);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** Returns whether an APNG has several frames (acTL before the first IDAT). */
export function isAnimatedPng(chunks: Iterable<PngChunk>): boolean {
  for (const { type, data } of chunks) {
    if (type === "acTL") return data.length >= 4 && dataView(data).getUint32(0) > 1;
    if (type === "IDAT") return false;
  }
  return false;
}
