/**
 * Removes metadata from a picture file that would make decoders change its pixels, and rejects truncated files.
 *
 * Browsers rotate by EXIF and convert by ICC profile whatever they are told; some decoders fill in the missing end of a file
 * with gray. The reference (Pillow) does none of that, so the decoder gets a file without those parts. Nothing is decoded here. Source: model specification 3.1.
 */
import { MediaError } from "../../base/errors.js";
import { asciiAt, concatBytes, dataView } from "../bytes/bytes.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import type { PictureInfo } from "./inspect-picture.js";
import { scanIsWhole } from "./jpeg-scan.js";
import { JPEG_EOI, JPEG_SOS, jpegSegments, webpChunks } from "./picture-format.js";

function cut(where: string, expected: string, got = "the end of the file before it"): MediaError {
  return new MediaError({ where, expected, got, remedy: "get a complete copy of the picture" });
}

/** A scan costs a walk over the whole picture, however short it is: 16 of the largest picture, 357 of 12 megapixels. */
const MAX_SCANNED_PIXELS = 2 ** 32;

/** Application segments and comments go, but for JFIF (E0) and Adobe (EE), which say what the components are. */
function cleanJpeg(bytes: Uint8Array, pixels: number, where: string): Uint8Array {
  const parts = [bytes.subarray(0, 2)];
  let scans = 0;
  for (const { marker, start, end } of jpegSegments(bytes)) {
    const application = marker >= 0xe0 && marker <= 0xef;
    if ((application && marker !== 0xe0 && marker !== 0xee) || marker === 0xfe) continue;
    parts.push(bytes.subarray(start, end));
    if (marker === JPEG_SOS && ++scans * pixels > MAX_SCANNED_PIXELS) {
      throw cut(where, `at most ${scans - 1} scans of ${pixels} pixels`, "more");
    }
    if (marker === JPEG_EOI) return concatBytes(parts);
  }
  if (scanIsWhole(bytes)) return concatBytes([...parts, Uint8Array.of(0xff, JPEG_EOI)]);
  throw cut(where, "the end marker of the JPEG", `${bytes.length} bytes without one (the picture is cut off)`);
}

/** EXIF, ICC profile and XMP go, together with their flags in the VP8X header. */
function cleanWebp(bytes: Uint8Array, where: string): Uint8Array {
  const declaredBytes = dataView(bytes).getUint32(4, true) + 8;
  if (bytes.length < declaredBytes) {
    throw cut(where, `${declaredBytes} bytes of WebP`, `${bytes.length} (the picture is cut off)`);
  }
  const parts = [bytes.subarray(0, 12)];
  for (const { type, data, complete } of webpChunks(bytes)) {
    if (!complete) throw cut(where, `the whole ${printableAscii(type)} chunk of the WebP`);
    if (type === "EXIF" || type === "ICCP" || type === "XMP ") continue;
    const chunk = new Uint8Array(8 + data.length + (data.length & 1));
    for (let i = 0; i < 4; i++) chunk[i] = type.charCodeAt(i);
    dataView(chunk).setUint32(4, data.length, true);
    chunk.set(data, 8);
    if (type === "VP8X") chunk[8] = chunk[8]! & ~0x2c;
    parts.push(chunk);
  }
  const out = concatBytes(parts);
  dataView(out).setUint32(4, out.length - 8, true);
  return out;
}

/** The top-level boxes must lie inside the file; an AVIF has its rotation in boxes every decoder honours. */
function checkAvif(bytes: Uint8Array, where: string): Uint8Array {
  const view = dataView(bytes);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at);
    if (size === 0) break;
    const length = size === 1 && at + 16 <= bytes.length ? Number(view.getBigUint64(at + 8)) : size;
    if (length < 8 || at + length > bytes.length) {
      throw cut(where, `the whole "${printableAscii(asciiAt(bytes, at + 4, 4))}" box at byte ${at} of the AVIF`);
    }
    at += length;
  }
  return bytes;
}

/**
 * The same picture without rotation, profile and trailing bytes, for decoders that honour them. Throws MediaError naming
 * `where` if the file ends before its picture does. Formats with a decoder of our own come back as they are.
 */
export function cleanPicture(bytes: Uint8Array, { format, width, height }: PictureInfo, where: string): Uint8Array {
  switch (format) {
    case "jpeg":
      return cleanJpeg(bytes, width * height, where);
    case "webp":
      return cleanWebp(bytes, where);
    case "avif":
      return checkAvif(bytes, where);
    default:
      return bytes;
  }
}
