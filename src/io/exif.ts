/**
 * The EXIF orientation of a picture, and turning pixels by it.
 *
 * Only tag 0x0112 of the first directory is read. A broken EXIF block counts as none: cameras write many, and the
 * picture under it is fine. Source: Exif 2.32, section 4.6.4 and TIFF 6.0.
 */
import type { PictureFormat } from "../platform/platform.js";
import { asciiAt, dataView, jpegSegments, webpChunks } from "./picture-format.js";
import { pngChunks } from "./png.js";
import type { Pixels } from "./resize.js";

/** 1 as stored; 2 mirrored; 3 half turn; 4 mirrored half turn; 5 transposed; 6 clockwise; 7 transversed; 8 anticlockwise. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION_TAG = 0x0112;
const EXIF_PREFIX = "Exif\0\0";

/** The TIFF block with the EXIF tags, without the "Exif" prefix. */
function exifBlock(bytes: Uint8Array, format: PictureFormat): Uint8Array | undefined {
  const withoutPrefix = (data: Uint8Array) => (asciiAt(data, 0, 6) === EXIF_PREFIX ? data.subarray(6) : data);
  if (format === "jpeg") {
    for (const { marker, payload } of jpegSegments(bytes)) {
      if (marker === 0xe1 && asciiAt(payload, 0, 6) === EXIF_PREFIX) return payload.subarray(6);
      if (marker === 0xda) return undefined;
    }
  } else if (format === "png") {
    for (const { type, data } of pngChunks(bytes)) if (type === "eXIf") return withoutPrefix(data);
  } else if (format === "webp") {
    for (const { type, data } of webpChunks(bytes)) if (type === "EXIF") return withoutPrefix(data);
  }
  return undefined;
}

/** The orientation in a TIFF block; 1 if there is none or the block is broken. */
export function orientationOfTiff(tiff: Uint8Array): Orientation {
  if (tiff.length < 8) return 1;
  const view = dataView(tiff);
  const order = asciiAt(tiff, 0, 2);
  if (order !== "II" && order !== "MM") return 1;
  const little = order === "II";
  if (view.getUint16(2, little) !== 42) return 1;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return 1;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + i * 12;
    if (entry + 12 > tiff.length) return 1;
    if (view.getUint16(entry, little) !== ORIENTATION_TAG) continue;
    // SHORT as the standard has it; some writers use LONG.
    const type = view.getUint16(entry + 2, little);
    const value = type === 3 ? view.getUint16(entry + 8, little) : type === 4 ? view.getUint32(entry + 8, little) : 1;
    return value >= 1 && value <= 8 ? (value as Orientation) : 1;
  }
  return 1;
}

/** The EXIF orientation of a JPEG, PNG or WebP; 1 for every other format and where none is given. */
export function readOrientation(bytes: Uint8Array, format: PictureFormat): Orientation {
  const block = exifBlock(bytes, format);
  return block ? orientationOfTiff(block) : 1;
}

/**
 * Turns RGB8 `[h, w, 3]` so that it stands as the photographer saw it; `[w, h, 3]` for orientations 5 to 8.
 * The same pixels come back for 1.
 */
export function applyOrientation(picture: Pixels, orientation: Orientation): Pixels {
  if (orientation === 1) return picture;
  const { width, height, data } = picture;
  const swapped = orientation >= 5;
  const target = {
    width: swapped ? height : width,
    height: swapped ? width : height,
    data: new Uint8Array(data.length),
  };
  // The source pixel of target (0, 0), and the steps in the source for one step right and one step down in the target.
  const right = width - 1;
  const bottom = (height - 1) * width;
  const walks: Record<Exclude<Orientation, 1>, [origin: number, stepX: number, stepY: number]> = {
    2: [right, -1, width],
    3: [right + bottom, -1, -width],
    4: [bottom, 1, -width],
    5: [0, width, 1],
    6: [bottom, -width, 1],
    7: [right + bottom, -width, -1],
    8: [right, width, -1],
  };
  const [origin, stepX, stepY] = walks[orientation];
  let write = 0;
  for (let y = 0; y < target.height; y++) {
    let read = (origin + y * stepY) * 3;
    for (let x = 0; x < target.width; x++, read += stepX * 3, write += 3) {
      target.data[write] = data[read]!;
      target.data[write + 1] = data[read + 1]!;
      target.data[write + 2] = data[read + 2]!;
    }
  }
  return target;
}
