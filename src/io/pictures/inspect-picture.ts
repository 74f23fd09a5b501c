/** Reads the properties of a picture file from its header, without decoding. */

import { MediaError } from "../../base/errors.js";
import type { PictureFormat } from "../../platform/platform.js";
import { asciiAt, dataView } from "../bytes/bytes.js";
import { readBmpHeader } from "./bmp.js";
import { orientationOf, orientationOfTiff, readOrientation } from "./exif.js";
import { gifFrames, gifSize } from "./gif-frames.js";
import { type HeifFile, readHeif } from "./heif-items.js";
import type { Orientation } from "./orientation.js";
import { jpegSegments, sniffFormat, webpChunks } from "./picture-format.js";
import { pngChunks } from "./png.js";
import { tiffSize } from "./tiff-header.js";

/** Maximum pixels, 16384 × 16384: less than 1 GiB as RGB8. */
export const MAX_PIXELS = 2 ** 28;

export interface PictureInfo {
  format: PictureFormat;
  /** Size in stored pixels: before the picture is turned. */
  width: number;
  height: number;
  /** How the picture is to be turned, as EXIF numbers it. */
  orientation: Orientation;
  /** Whether the file holds several pictures to be shown one after the other. */
  animated: boolean;
  /** Major brand of an ISO media file, "" for the other formats. */
  brand: string;
  /** The boxes of an AVIF or HEIC. */
  heif?: HeifFile;
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

function pngSize(bytes: Uint8Array): Size | undefined {
  if (bytes.length < 24 || asciiAt(bytes, 12, 4) !== "IHDR") return undefined;
  const view = dataView(bytes);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

function isAnimated(bytes: Uint8Array, format: PictureFormat): boolean {
  if (format === "gif") return gifFrames(bytes).length > 1;
  if (format === "webp") for (const { type } of webpChunks(bytes)) if (type === "ANIM") return true;
  if (format === "png") {
    for (const { type, data } of pngChunks(bytes)) {
      if (type === "acTL") return data.length >= 4 && dataView(data).getUint32(0) > 1;
      if (type === "IDAT") return false;
    }
  }
  return false;
}

/** Size and orientation of the formats but AVIF and HEIC. */
function plainInfo(bytes: Uint8Array, format: PictureFormat, where: string): Size | undefined {
  switch (format) {
    case "png":
      return pngSize(bytes);
    case "jpeg":
      return jpegSize(bytes);
    case "webp":
      return webpSize(bytes);
    case "gif":
      return gifSize(bytes);
    case "bmp":
      return readBmpHeader(bytes, where);
    default:
      return tiffSize(bytes);
  }
}

/**
 * Reads format, size, orientation, animation and brand. Throws MediaError naming `where` for a file that is no picture, has no
 * readable size, no pixel or more than {@link MAX_PIXELS}.
 */
export function inspectPicture(bytes: Uint8Array, where: string): PictureInfo {
  const format = sniffFormat(bytes, where);
  if (format === "avif" || format === "heic") {
    const heif = readHeif(bytes, where, format === "avif");
    const { width, height } = checked(heif.picture, bytes, format, where);
    // The boxes' turn replaces the one EXIF tells; XMP counts where neither says anything.
    const silent = heif.turn === 1 && !(heif.exif && orientationOfTiff(heif.exif));
    const orientation = silent ? orientationOf({ xmp: heif.xmp }) : heif.turn;
    return { format, width, height, orientation, animated: heif.animated, brand: heif.majorBrand, heif };
  }
  const { width, height } = checked(plainInfo(bytes, format, where), bytes, format, where);
  const orientation = format === "tiff" ? (orientationOfTiff(bytes) ?? 1) : readOrientation(bytes, format);
  return { format, width, height, orientation, animated: isAnimated(bytes, format), brand: "" };
}

function checked(size: Size | undefined, bytes: Uint8Array, format: PictureFormat, where: string): Size {
  const pixels = size ? size.width * size.height : 0;
  if (size && pixels > 0 && pixels <= MAX_PIXELS) return size;
  throw new MediaError({
    where,
    expected: `a ${format.toUpperCase()} with 1 to ${MAX_PIXELS} pixels`,
    got: size ? `${size.width}×${size.height}` : `no readable size in its ${bytes.length} bytes`,
    remedy: pixels > MAX_PIXELS ? "make the picture smaller" : "get an undamaged copy",
  });
}
