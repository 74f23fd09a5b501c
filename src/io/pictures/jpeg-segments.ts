/** The marker segments of a JPEG file. Source: ITU-T T.81, annex B. */
import { dataView } from "../bytes/bytes.js";

/** One marker segment of a JPEG. The payload is a view created on access. */
export class JpegSegment {
  constructor(
    readonly file: Uint8Array,
    readonly marker: number,
    /** Offset of the 0xFF byte of the marker. */
    readonly start: number,
    /** Offset after the payload. */
    readonly headerEnd: number,
    /** Offset after the segment: `headerEnd`, or for SOS the end of the entropy-coded data that follows. */
    readonly end: number,
  ) {}

  /** The bytes after the length field, without entropy-coded data. */
  get payload(): Uint8Array {
    return this.file.subarray(Math.min(this.start + 4, this.headerEnd), this.headerEnd);
  }
}

export const JPEG_EOI = 0xd9;
export const JPEG_SOS = 0xda;

/** Returns the offset of the next marker other than a restart marker, or the end of the bytes. */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next === undefined) break;
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  return bytes.length;
}

/**
 * Returns the segments after SOI, up to and including EOI. Without an EOI at the end, the file is truncated. Each iteration parses them
 * again: a list of the millions of segments that a crafted file can have would take many times its size.
 */
export function jpegSegments(bytes: Uint8Array): Iterable<JpegSegment> {
  return { [Symbol.iterator]: () => parse(bytes) };
}

function* parse(bytes: Uint8Array): Generator<JpegSegment, void, undefined> {
  let at = 2;
  while (at + 1 < bytes.length) {
    // Like decoders, skip fill bytes and stray bytes before a marker.
    if (bytes[at] !== 0xff || bytes[at + 1] === 0xff || bytes[at + 1] === 0) {
      at++;
      continue;
    }
    const marker = bytes[at + 1]!;
    if (marker === JPEG_EOI || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      yield new JpegSegment(bytes, marker, at, at + 2, at + 2);
      if (marker === JPEG_EOI) break;
      at += 2;
      continue;
    }
    if (at + 4 > bytes.length) break;
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const headerEnd = at + 2 + length;
    if (length < 2 || headerEnd > bytes.length) break;
    const end = marker === JPEG_SOS ? endOfScan(bytes, headerEnd) : headerEnd;
    yield new JpegSegment(bytes, marker, at, headerEnd, end);
    at = end;
  }
}

/** Returns the size in the frame header (SOF); undefined if there is none before the first scan. */
export function jpegSize(segments: Iterable<JpegSegment>): { width: number; height: number } | undefined {
  for (const { marker, payload } of segments) {
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame && payload.length >= 5) {
      const view = dataView(payload);
      return { width: view.getUint16(3), height: view.getUint16(1) };
    }
    if (marker === JPEG_SOS) return undefined;
  }
  return undefined;
}
