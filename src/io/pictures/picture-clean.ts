/**
 * Removes metadata that would make the platform's decoders change the pixels of a picture, and rejects truncated files.
 *
 * Browsers always apply the EXIF orientation and the ICC profile, and some decoders fill the missing end of a file with gray. The
 * reference (Pillow) does neither, so decoders get a file without these parts. Nothing is decoded here. Source: model specification 3.1.
 */
import { MediaError } from "../../base/errors.js";
import { concatBytes, dataView } from "../bytes/bytes.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import type { HeifFile } from "./heif-items.js";
import { scanIsWhole } from "./jpeg-scan.js";
import { JPEG_EOI, JPEG_SOS, type JpegSegment } from "./jpeg-segments.js";
import type { WebpFile } from "./webp-chunks.js";

function cut(where: string, expected: string, got = "the end of the file before it"): MediaError {
  return new MediaError({ where, expected, got, remedy: "get a complete copy of the picture" });
}

/**
 * Maximum scans × pixels: the time of a scan is proportional to the pixels, however few bytes it has. Allows 357 scans of 12 megapixels.
 */
const MAX_SCANNED_PIXELS = 2 ** 32;

/**
 * Returns the JPEG without comments and application segments, except JFIF (E0) and Adobe (EE), which define the colour components. Throws
 * MediaError naming `where` if the file ends before the picture, or has too many scans.
 */
export function cleanJpeg(
  bytes: Uint8Array,
  segments: Iterable<JpegSegment>,
  pixels: number,
  where: string,
): Uint8Array {
  const parts = [bytes.subarray(0, 2)];
  let scans = 0;
  for (const { marker, start, end } of segments) {
    const application = marker >= 0xe0 && marker <= 0xef;
    if ((application && marker !== 0xe0 && marker !== 0xee) || marker === 0xfe) continue;
    parts.push(bytes.subarray(start, end));
    if (marker === JPEG_SOS && ++scans * pixels > MAX_SCANNED_PIXELS) {
      throw cut(where, `at most ${scans - 1} scans of ${pixels} pixels`, "more");
    }
    if (marker === JPEG_EOI) return concatBytes(parts);
  }
  if (scanIsWhole(bytes, segments)) return concatBytes([...parts, Uint8Array.of(0xff, JPEG_EOI)]);
  throw cut(where, "the end marker of the JPEG", `${bytes.length} bytes without one (the picture is cut off)`);
}

/**
 * Returns the WebP without EXIF, ICC profile and XMP, and without their flags in VP8X. Throws MediaError naming `where` if it is
 * truncated.
 */
export function cleanWebp(bytes: Uint8Array, { declaredBytes, chunks }: WebpFile, where: string): Uint8Array {
  if (bytes.length < declaredBytes) {
    throw cut(where, `${declaredBytes} bytes of WebP`, `${bytes.length} (the picture is cut off)`);
  }
  const parts = [bytes.subarray(0, 12)];
  for (const { type, data, complete } of chunks) {
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

/** Rejects an AVIF whose top-level boxes exceed the file. Nothing is removed: every decoder applies the rotation in its boxes. */
export function checkAvif({ truncatedBox }: HeifFile, where: string): void {
  if (!truncatedBox) return;
  const { type, offsetBytes } = truncatedBox;
  throw cut(where, `the whole "${printableAscii(type)}" box at byte ${offsetBytes} of the AVIF`);
}
