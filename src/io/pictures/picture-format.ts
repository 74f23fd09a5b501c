/**
 * Detects the format of a picture file from its first bytes (names are ignored), and parses the segments of JPEG and WebP files.
 * Sources: the formats' own specifications.
 */

import { MediaError } from "../../base/errors.js";
import type { PictureFormat } from "../../platform/platform.js";
import { asciiAt, dataView } from "../bytes/bytes.js";
import { EBML } from "../bytes/clip-format.js";
import { printableAscii } from "../bytes/printable-ascii.js";

const ACCEPTED = "a JPEG, PNG, WebP, GIF, AVIF, BMP, TIFF or HEIC picture";

/** Unsupported formats by signature, to name them in messages. */
const OTHERS: readonly [start: RegExp, name: string][] = [
  [/^%PDF/, "a PDF document"],
  [/^8BPS/, "a Photoshop document"],
  [/^\xff\n|^....JXL /s, "a JPEG XL picture"],
  [/^....jP {2}|^\xffO\xffQ/s, "a JPEG 2000 picture"],
  [/^icns/, "an icon of macOS"],
  [/^P[1-7][\s#]/, "a PNM picture"],
  [/^qoif/, "a QOI picture"],
  [/^DDS /, "a DDS texture"],
  [/^FLIF/, "a FLIF picture"],
  [/^(?:\xef\xbb\xbf)?\s*<(?:svg|\?xml)/i, "an SVG picture or another XML text"],
  [/^(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)/i, "an HTML page"],
  [/^version https:\/\/git-lfs/, "a Git LFS pointer, which stands for a file that was not downloaded (git lfs pull)"],
];

const CONVERT = "convert it to PNG or JPEG";
const AS_VIDEO = 'give a clip as a video: { type: "video" } in a message, --video on the command line';

/** What bytes that are no supported picture are, and what to do with them. */
function unsupported(bytes: Uint8Array): { got: string; remedy: string } {
  if (bytes.length === 0) return { got: "no bytes at all", remedy: "give the bytes of a picture file" };
  const start = asciiAt(bytes, 0, 32);
  if (["\0\0\x01\0", "\0\0\x02\0"].includes(start.slice(0, 4))) {
    return { got: "an icon or cursor of Windows", remedy: CONVERT };
  }
  if (start.startsWith(EBML)) return { got: "a WebM or Matroska clip", remedy: AS_VIDEO };
  const other = OTHERS.find(([pattern]) => pattern.test(start));
  if (other) return { got: other[1], remedy: CONVERT };
  if (start.slice(4, 8) === "ftyp") {
    return { got: `an ISO media file of brand "${printableAscii(start.slice(8, 12).trim())}"`, remedy: AS_VIDEO };
  }
  if (/^[\t\n\r\x20-\x7e]+$/.test(start)) {
    const got = `text beginning with ${JSON.stringify(start.slice(0, 16))}`;
    return { got, remedy: "give the bytes of a picture file, or its path or URL" };
  }
  const first = [...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0"));
  return { got: `unknown bytes ${first.join(" ")}`, remedy: CONVERT };
}

const AVIF_BRANDS = ["avif", "avis"];
const HEIC_BRANDS = ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"];

function isoFormat(bytes: Uint8Array): PictureFormat | undefined {
  if (asciiAt(bytes, 4, 4) !== "ftyp" || bytes.length < 16) return undefined;
  const brands = asciiAt(bytes, 8, Math.min(dataView(bytes).getUint32(0), 256) - 8).match(/.{4}/gs) ?? [];
  if (brands.some((brand) => AVIF_BRANDS.includes(brand))) return "avif";
  return brands.some((brand) => HEIC_BRANDS.includes(brand)) ? "heic" : undefined;
}

/** The format by its magic bytes; throws MediaError naming `where` and what was found instead. */
export function sniffFormat(bytes: Uint8Array, where: string): PictureFormat {
  if (asciiAt(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") {
    if (asciiAt(bytes, 12, 4) !== "CgBI") return "png";
    throw new MediaError({
      where,
      expected: "a PNG as the standard has it",
      got: "one that Xcode rewrote for iOS (chunk CgBI), which other decoders cannot read",
      remedy: "use the original, or revert it on a Mac: xcrun pngcrush -revert-iphone-optimizations in.png out.png",
    });
  }
  const start = asciiAt(bytes, 0, 12);
  if (start.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^RIFF....WEBP/s.test(start)) return "webp";
  if (/^GIF8[79]a/.test(start)) return "gif";
  if (start.startsWith("BM")) return "bmp";
  if (["II*\0", "II+\0", "MM\0*", "MM\0+"].includes(start.slice(0, 4))) return "tiff";
  const iso = isoFormat(bytes);
  if (iso) return iso;
  throw new MediaError({ where, expected: ACCEPTED, ...unsupported(bytes) });
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
export const JPEG_SOS = 0xda;

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
    const end = marker === JPEG_SOS ? endOfScan(bytes, headerEnd) : headerEnd;
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
    // The byte that makes a length even belongs to the chunk.
    const complete = at + 8 + length + (length & 1) <= end;
    yield { type: asciiAt(bytes, at, 4), data: bytes.subarray(at + 8, at + 8 + length), complete };
    at += 8 + length + (length & 1);
  }
}
