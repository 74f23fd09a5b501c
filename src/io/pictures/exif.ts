/**
 * Reads the orientation of a picture file.
 *
 * Reads tag 0x0112 of the first directory of the EXIF block; without it, `tiff:Orientation` of the XMP packet. Broken EXIF blocks are
 * ignored: many cameras write them, and the picture itself is intact.
 * Sources: Exif 2.32, section 4.6.4; TIFF 6.0; XMP specification, part 2; precedence of blocks as in Pillow (`ImageOps.exif_transpose`).
 */
import { asciiAt, concatBytes, dataView } from "../bytes/bytes.js";
import { inflateInto } from "../bytes/inflate.js";
import type { JpegSegment } from "./jpeg-segments.js";
import type { Orientation } from "./orientation.js";
import type { PngChunk } from "./png-chunks.js";
import type { WebpChunk } from "./webp-chunks.js";

export const ORIENTATION_TAG = 0x0112;
const EXIF_PREFIX = "Exif\0\0";
const XMP_PREFIX = "http://ns.adobe.com/xap/1.0/\0";
/** Maximum inflated size of PNG texts, as in the reference. */
const MAX_TEXT_BYTES = 2 ** 20;

/** Metadata blocks that may contain an orientation. */
export interface Metadata {
  /** A TIFF block, with or without the "Exif" prefix. */
  exif?: Uint8Array | undefined;
  xmp?: Uint8Array | undefined;
}

/** Returns the orientation of a JPEG by its APP1 segments before the first scan. */
export function jpegOrientation(segments: Iterable<JpegSegment>): Orientation {
  const exif: Uint8Array[] = [];
  let xmp: Uint8Array | undefined;
  for (const { marker, payload } of segments) {
    if (marker === 0xda) break;
    if (marker !== 0xe1) continue;
    // A block that exceeds one segment continues in the next.
    if (asciiAt(payload, 0, 6) === EXIF_PREFIX) exif.push(payload.subarray(6));
    else if (asciiAt(payload, 0, XMP_PREFIX.length) === XMP_PREFIX) xmp = payload.subarray(XMP_PREFIX.length);
  }
  return orientationOf({ exif: exif.length > 0 ? concatBytes(exif) : undefined, xmp });
}

/** Returns keyword and text of a tEXt, zTXt or iTXt chunk; undefined if it has no keyword. */
function pngText(type: string, data: Uint8Array): { keyword: string; text: Uint8Array } | undefined {
  let start = data.indexOf(0) + 1;
  if (start === 0) return undefined;
  const keyword = asciiAt(data, 0, start - 1);
  let compressed = type === "zTXt";
  if (compressed) start += 1;
  if (type === "iTXt") {
    compressed = data[start] === 1;
    start += 2;
    for (let i = 0; i < 2; i++) start = data.indexOf(0, start) + 1 || data.length;
  }
  const text = data.subarray(start);
  if (!compressed) return { keyword, text };
  const out = new Uint8Array(Math.min(MAX_TEXT_BYTES, text.length * 1032 + 16));
  return { keyword, text: out.subarray(0, inflateInto(text, out).filled) };
}

/** Decodes EXIF that ImageMagick wrote as text: a line feed, the name, the length, and the bytes in hexadecimal. */
function fromHexadecimal(text: Uint8Array): Uint8Array {
  const digits = asciiAt(text, 0, text.length).split("\n").slice(3).join("").replace(/\s/g, "");
  return Uint8Array.from({ length: digits.length >> 1 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

/** Returns the orientation of a PNG by its eXIf and text chunks, before or after the picture data. */
export function pngOrientation(chunks: Iterable<PngChunk>): Orientation {
  let exif: Uint8Array | undefined;
  let asText: Uint8Array | undefined;
  let xmp: Uint8Array | undefined;
  for (const { type, data } of chunks) {
    if (type === "eXIf") exif = data;
    if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") continue;
    const name = asciiAt(data, 0, 21);
    if (!name.startsWith("Raw profile type exif") && !name.startsWith("XML:com.adobe.xmp")) continue;
    const found = pngText(type, data);
    if (found?.keyword === "Raw profile type exif") asText = fromHexadecimal(found.text);
    else if (found?.keyword === "XML:com.adobe.xmp") xmp = found.text;
  }
  return orientationOf({ exif: exif ?? asText, xmp });
}

/** Returns the orientation of a WebP by its EXIF and XMP chunks. */
export function webpOrientation(chunks: Iterable<WebpChunk>): Orientation {
  const metadata: Metadata = {};
  for (const { type, data } of chunks) {
    if (type === "EXIF") metadata.exif ??= data;
    else if (type === "XMP ") metadata.xmp ??= data;
  }
  return orientationOf(metadata);
}

/** Returns the value of an orientation entry of a TIFF directory; 1 for values and types that are not defined. */
export function orientationOfEntry(view: DataView, entry: number, little: boolean): Orientation {
  const type = view.getUint16(entry + 2, little);
  const at = entry + 8;
  // The standard requires SHORT; some writers use LONG or BYTE.
  const value =
    type === 3
      ? view.getUint16(at, little)
      : type === 4
        ? view.getUint32(at, little)
        : type === 1
          ? view.getUint8(at)
          : 1;
  return value >= 1 && value <= 8 ? (value as Orientation) : 1;
}

/** Returns the orientation in a TIFF block; undefined if the block has none or is broken, 1 for undefined values. */
export function orientationOfTiff(tiff: Uint8Array): Orientation | undefined {
  if (tiff.length < 8) return undefined;
  const view = dataView(tiff);
  const order = asciiAt(tiff, 0, 2);
  if (order !== "II" && order !== "MM") return undefined;
  const little = order === "II";
  if (view.getUint16(2, little) !== 42) return undefined;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return undefined;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + i * 12;
    if (entry + 12 > tiff.length) return undefined;
    if (view.getUint16(entry, little) !== ORIENTATION_TAG) continue;
    return orientationOfEntry(view, entry, little);
  }
  return undefined;
}

function orientationOfXmp(xmp: Uint8Array): Orientation {
  const [, digit] = /tiff:Orientation(?:="|>)([0-9])/.exec(asciiAt(xmp, 0, xmp.length)) ?? [];
  const value = Number(digit ?? 1);
  return value >= 1 && value <= 8 ? (value as Orientation) : 1;
}

/** Returns the orientation in EXIF, else in XMP, else 1. */
export function orientationOf({ exif, xmp }: Metadata): Orientation {
  const tiff = exif && asciiAt(exif, 0, 6) === EXIF_PREFIX ? exif.subarray(6) : exif;
  return (tiff && orientationOfTiff(tiff)) ?? (xmp ? orientationOfXmp(xmp) : 1);
}
