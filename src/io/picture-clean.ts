/**
 * Takes from a picture file what would change its pixels on the way through a decoder, and refuses cut files.
 *
 * Browsers rotate by EXIF and convert by ICC profile whatever they are told, and paint over transparent palette
 * entries; some decoders fill in the missing end of a file with gray. The reference (Pillow) does none of that, so the
 * decoder gets a file without those parts. Nothing is decoded here. Source: model specification 3.1.
 */
import type { PictureFormat } from "../platform/platform.js";
import { MediaError } from "../runtime/errors.js";
import { asciiAt, dataView, JPEG_EOI, jpegSegments, webpChunks } from "./picture-format.js";

function cut(where: string, expected: string, got = "the end of the file before it"): MediaError {
  return new MediaError({ where, expected, got, remedy: "get a complete copy of the picture" });
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Application segments and comments go, but for JFIF (E0) and Adobe (EE), which say what the components are. */
function cleanJpeg(bytes: Uint8Array, where: string): Uint8Array {
  const parts = [bytes.subarray(0, 2)];
  for (const { marker, start, end } of jpegSegments(bytes)) {
    const application = marker >= 0xe0 && marker <= 0xef;
    if ((application && marker !== 0xe0 && marker !== 0xee) || marker === 0xfe) continue;
    parts.push(bytes.subarray(start, end));
    if (marker === JPEG_EOI) return concat(parts);
  }
  throw cut(where, "the end marker of the JPEG", `${bytes.length} bytes without one (the picture is cut off)`);
}

/** EXIF, ICC profile and XMP go, together with their flags in the VP8X header. */
function cleanWebp(bytes: Uint8Array, where: string): Uint8Array {
  const declaredBytes = dataView(bytes).getUint32(4, true) + 8;
  // A missing pad byte after the last chunk is common and harmless.
  if (bytes.length + 1 < declaredBytes) {
    throw cut(where, `${declaredBytes} bytes of WebP`, `${bytes.length} (the picture is cut off)`);
  }
  const parts = [bytes.slice(0, 12)];
  for (const { type, data, complete } of webpChunks(bytes)) {
    if (!complete) throw cut(where, `the whole ${type} chunk of the WebP`);
    if (type === "EXIF" || type === "ICCP" || type === "XMP ") continue;
    const chunk = new Uint8Array(8 + data.length + (data.length & 1));
    for (let i = 0; i < 4; i++) chunk[i] = type.charCodeAt(i);
    dataView(chunk).setUint32(4, data.length, true);
    chunk.set(data, 8);
    if (type === "VP8X") chunk[8] = chunk[8]! & ~0x2c;
    parts.push(chunk);
  }
  const out = concat(parts);
  dataView(out).setUint32(4, out.length - 8, true);
  return out;
}

/** The first frame only, with no entry transparent: the colour under transparency is the picture's colour. */
function cleanGif(bytes: Uint8Array, where: string): Uint8Array {
  const colorTableBytes = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const byteAt = (at: number): number => {
    const value = bytes[at];
    if (value === undefined) throw cut(where, "the first frame of the GIF");
    return value;
  };
  const afterBlocks = (start: number): number => {
    let at = start;
    while (byteAt(at) !== 0) at += byteAt(at) + 1;
    return at + 1;
  };
  let at = 13 + colorTableBytes(byteAt(10));
  const parts = [bytes.subarray(0, at)];
  for (;;) {
    const kind = byteAt(at);
    if (kind === 0x21) {
      // Extensions before the first frame are its timing, transparency, comments and the loop count: none is needed.
      at = afterBlocks(at + 2);
    } else if (kind === 0x2c) {
      const dataStart = at + 10 + colorTableBytes(byteAt(at + 9)) + 1;
      parts.push(bytes.subarray(at, afterBlocks(dataStart)), Uint8Array.of(0x3b));
      return concat(parts);
    } else {
      throw cut(where, "the first frame of the GIF", kind === 0x3b ? "no frame" : `block type ${kind} at byte ${at}`);
    }
  }
}

/** The top-level boxes must lie inside the file; an AVIF has its rotation in boxes every decoder honours. */
function checkAvif(bytes: Uint8Array, where: string): Uint8Array {
  const view = dataView(bytes);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at);
    if (size === 0) break;
    const length = size === 1 && at + 16 <= bytes.length ? Number(view.getBigUint64(at + 8)) : size;
    if (length < 8 || at + length > bytes.length) {
      throw cut(where, `the whole "${asciiAt(bytes, at + 4, 4)}" box at byte ${at} of the AVIF`);
    }
    at += length;
  }
  return bytes;
}

/**
 * The same picture without rotation, profile, transparency flag of a GIF and trailing bytes, for decoders that honour
 * them. Throws MediaError naming `where` if the file ends before its picture does. A PNG comes back as it is: its
 * decoder reads only what counts.
 */
export function cleanPicture(bytes: Uint8Array, format: PictureFormat, where: string): Uint8Array {
  switch (format) {
    case "png":
      return bytes;
    case "jpeg":
      return cleanJpeg(bytes, where);
    case "webp":
      return cleanWebp(bytes, where);
    case "gif":
      return cleanGif(bytes, where);
    case "avif":
      return checkAvif(bytes, where);
  }
}
