/**
 * What a picture file is and how large, from its first bytes and before anything is decoded.
 * The name of a file is never asked. Sources: the formats' own specifications.
 */
import type { PictureFormat } from "../platform/platform.js";
import { MediaError } from "../runtime/errors.js";

/** `length` bytes from `start` as Latin-1 text. */
export function asciiAt(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** A view on the bytes for numbers of more than one byte. */
export function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const ACCEPTED = "a JPEG, PNG, WebP, GIF or AVIF picture";

/** Formats people try that cannot be read here, to name them in the message. */
function describe(bytes: Uint8Array): string {
  const start = asciiAt(bytes, 0, 16);
  if (start.startsWith("BM")) return "a BMP picture";
  if (start.startsWith("II*\0") || start.startsWith("MM\0*")) return "a TIFF picture";
  if (start.slice(4, 8) === "ftyp") return `an ISO media file of brand "${start.slice(8, 12).trim()}"`;
  if (start.startsWith("%PDF")) return "a PDF document";
  if (start.startsWith("8BPS")) return "a Photoshop document";
  if (start.startsWith("\xff\x0a") || start.slice(4, 8) === "JXL ") return "a JPEG XL picture";
  if (/^[\t\n\r\x20-\x7e]+$/.test(start)) return `text beginning with ${JSON.stringify(start)}`;
  return `unknown bytes ${[...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}`;
}

/** The format by its magic bytes; throws MediaError naming `where` and what was found instead. */
export function sniffFormat(bytes: Uint8Array, where: string): PictureFormat {
  if (asciiAt(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (asciiAt(bytes, 0, 3) === "\xff\xd8\xff") return "jpeg";
  if (asciiAt(bytes, 0, 4) === "RIFF" && asciiAt(bytes, 8, 4) === "WEBP") return "webp";
  if (/^GIF8[79]a/.test(asciiAt(bytes, 0, 6))) return "gif";
  if (asciiAt(bytes, 4, 4) === "ftyp" && bytes.length >= 16) {
    const brands = asciiAt(bytes, 8, Math.min(dataView(bytes).getUint32(0), 256) - 8);
    if (/^(?:....)*?(?:avif|avis)/.test(brands)) return "avif";
  }
  throw new MediaError({
    where,
    expected: ACCEPTED,
    got: bytes.length === 0 ? "no bytes at all" : describe(bytes),
    remedy: "convert it to PNG or JPEG",
  });
}

/** One marker segment of a JPEG. For SOS the entropy-coded data that follows belongs to it. */
export interface JpegSegment {
  marker: number;
  /** Offset of the 0xFF of the marker, and of the first byte after the segment. */
  start: number;
  end: number;
  /** The bytes after the length field, without entropy-coded data. */
  payload: Uint8Array;
}

export const JPEG_EOI = 0xd9;

/** Offset of the next 0xFF that starts a marker other than a restart marker, or the end of the bytes. */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next === undefined) break;
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  return bytes.length;
}

/** Walks the segments after SOI, EOI included; stops without EOI where the file is cut. */
export function* jpegSegments(bytes: Uint8Array): Generator<JpegSegment> {
  let at = 2;
  while (at + 1 < bytes.length) {
    // Fill bytes and stray bytes before a marker are skipped, as decoders do.
    if (bytes[at] !== 0xff || bytes[at + 1] === 0xff || bytes[at + 1] === 0) {
      at++;
      continue;
    }
    const marker = bytes[at + 1]!;
    if (marker === JPEG_EOI || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      yield { marker, start: at, end: at + 2, payload: bytes.subarray(at + 2, at + 2) };
      if (marker === JPEG_EOI) return;
      at += 2;
      continue;
    }
    if (at + 4 > bytes.length) return;
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const headerEnd = at + 2 + length;
    if (length < 2 || headerEnd > bytes.length) return;
    const end = marker === 0xda ? endOfScan(bytes, headerEnd) : headerEnd;
    yield { marker, start: at, end, payload: bytes.subarray(at + 4, headerEnd) };
    at = end;
  }
}

/** One chunk of a WebP's RIFF container. */
export interface RiffChunk {
  type: string;
  data: Uint8Array;
  complete: boolean;
}

/** Walks the chunks of a WebP as far as the RIFF size (or the file) goes. */
export function* webpChunks(bytes: Uint8Array): Generator<RiffChunk> {
  const view = dataView(bytes);
  const end = Math.min(bytes.length, view.getUint32(4, true) + 8);
  let at = 12;
  while (at + 8 <= end) {
    const length = view.getUint32(at + 4, true);
    const complete = at + 8 + length <= bytes.length;
    yield { type: asciiAt(bytes, at, 4), data: bytes.subarray(at + 8, at + 8 + length), complete };
    at += 8 + length + (length & 1);
  }
}

type Size = { width: number; height: number };

function jpegSize(bytes: Uint8Array): Size | undefined {
  for (const { marker, payload } of jpegSegments(bytes)) {
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (frame && payload.length >= 5) {
      const view = dataView(payload);
      return { width: view.getUint16(3), height: view.getUint16(1) };
    }
    if (marker === 0xda) return undefined;
  }
  return undefined;
}

function webpSize(bytes: Uint8Array): Size | undefined {
  const [first] = webpChunks(bytes);
  const data = first?.data;
  if (!first || !data) return undefined;
  if (first.type === "VP8X" && data.length >= 10) {
    const three = (at: number) => data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16);
    return { width: three(4) + 1, height: three(7) + 1 };
  }
  if (first.type === "VP8L" && data.length >= 5) {
    const bits = dataView(data).getUint32(1, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (first.type === "VP8 " && data.length >= 10) {
    const view = dataView(data);
    return { width: view.getUint16(6, true) & 0x3fff, height: view.getUint16(8, true) & 0x3fff };
  }
  return undefined;
}

/** The largest `ispe` property: tiled pictures list the size of their tiles as well. */
function avifSize(bytes: Uint8Array, start = 0, end = bytes.length): Size | undefined {
  const view = dataView(bytes);
  let largest: Size | undefined;
  for (let at = start; at + 8 <= end; ) {
    const size = view.getUint32(at);
    const type = asciiAt(bytes, at + 4, 4);
    const next = size === 0 ? end : at + size;
    if (size === 1 || next > end || next < at + 8) break;
    let found: Size | undefined;
    if (type === "meta") found = avifSize(bytes, at + 12, next);
    else if (type === "iprp" || type === "ipco") found = avifSize(bytes, at + 8, next);
    else if (type === "ispe" && next >= at + 20) {
      found = { width: view.getUint32(at + 12), height: view.getUint32(at + 16) };
    }
    if (found && (!largest || found.width * found.height > largest.width * largest.height)) largest = found;
    at = next;
  }
  return largest;
}

/** Width and height in stored pixels as the header tells them, or undefined if there is no readable header. */
export function pictureSize(bytes: Uint8Array, format: PictureFormat): Size | undefined {
  const view = dataView(bytes);
  switch (format) {
    case "png":
      return bytes.length < 24 ? undefined : { width: view.getUint32(16), height: view.getUint32(20) };
    case "gif":
      return bytes.length < 10 ? undefined : { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    case "jpeg":
      return jpegSize(bytes);
    case "webp":
      return webpSize(bytes);
    case "avif":
      return avifSize(bytes);
  }
}
