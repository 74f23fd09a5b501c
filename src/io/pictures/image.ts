/**
 * Picture files to RGB8, as the reference's `Image.open(f).convert("RGB")` gives it: alpha dropped, colour profile and
 * gamma ignored. EXIF orientation is applied unless told otherwise. Source: model specification 3.1.
 */
import { platform } from "#platform";
import { MediaError, OcellusError, OptionError } from "../../base/errors.js";
import { decodeAvif } from "./avif.js";
import { decodeBmp } from "./bmp.js";
import { decodeGif } from "./gif.js";
import { inspectPicture, MAX_PIXELS, type PictureInfo } from "./inspect-picture.js";
import { applyOrientation, inverseOrientation } from "./orientation.js";
import { cleanPicture } from "./picture-clean.js";
import { decodePng } from "./png.js";
import type { Pixels } from "./resize.js";
import { readTiffHeader } from "./tiff-header.js";

export { MAX_PIXELS };

/** A decoded picture: RGB8 `[height, width, 3]`, and the name used in messages about it. */
export interface Picture extends Pixels {
  label: string;
}

export interface DecodeImageOptions {
  /** Names the picture in messages: a file name, a URL, "image 2". */
  label: string;
  /** Whether to turn the picture by its EXIF orientation; "apply" if not given. */
  orientation?: "apply" | "ignore";
}

/**
 * Decodes a JPEG, PNG, WebP, GIF, AVIF or BMP (the first frame of an animation); in Node also a TIFF, and a HEIC where
 * libheif-js is installed. The format is detected from the content, not the name. Throws MediaError naming the picture if it is empty, of
 * another kind, cut, broken, has no pixel or more than 2^28; OptionError for an unknown orientation; MissingPackageError where
 * the decoder is not installed.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeImageOptions): Promise<Picture> {
  const { label, orientation = "apply" } = options;
  if (orientation !== "apply" && orientation !== "ignore") {
    throw new OptionError({
      where: "orientation",
      expected: '"apply" or "ignore"',
      got: JSON.stringify(orientation),
      remedy: "leave it out to turn pictures by their EXIF orientation",
    });
  }
  const info = inspectPicture(bytes, label);
  const decoded = await decodeStored(bytes, info, label);
  if (
    decoded.width !== info.width ||
    decoded.height !== info.height ||
    decoded.data.length !== info.width * info.height * 3
  ) {
    throw new MediaError({
      where: label,
      expected: `${info.width}×${info.height} RGB pixels from the decoder`,
      got: `${decoded.width}×${decoded.height} in ${decoded.data.length} bytes`,
      remedy: "convert the picture to PNG",
    });
  }
  // The reference turns every TIFF, asked or not.
  const turned = orientation === "apply" || info.format === "tiff";
  const upright = turned ? applyOrientation(decoded, info.orientation) : decoded;
  return { ...upright, label };
}

/** TIFF sample formats that the decoder converts like the reference. */
function checkTiff(bytes: Uint8Array, where: string): void {
  const { bits = 1, sampleFormat = 1, photometric = -1 } = readTiffHeader(bytes) ?? {};
  if ([1, 2, 4, 8, 16].includes(bits) && sampleFormat === 1 && photometric >= 0 && photometric <= 6) return;
  throw new MediaError({
    where,
    expected: "a TIFF of 1, 2, 4, 8 or 16 bits, unsigned: gray, palette, RGB, CMYK or YCbCr",
    got: `${bits} bits, sample format ${sampleFormat}, photometric ${photometric}`,
    remedy: "convert the picture to PNG",
  });
}

/** The stored pixels, not turned. */
async function decodeStored(bytes: Uint8Array, info: PictureInfo, label: string): Promise<Pixels> {
  const { format, heif } = info;
  if (format === "png") return decodePng(bytes, label);
  if (format === "gif") return decodeGif(bytes, label);
  if (format === "bmp") return decodeBmp(bytes, label);
  if (format === "tiff") checkTiff(bytes, label);
  const clean = cleanPicture(bytes, info, label);
  try {
    if (format === "avif" && heif && platform.decodeSamples) {
      return await decodeAvif(heif, platform.decodeSamples, label, MAX_PIXELS);
    }
    const decoded = await platform.decodePicture(clean, format, label);
    // The platform's decoders of these turn the picture by its boxes.
    return heif ? applyOrientation(decoded, inverseOrientation(heif.turn)) : decoded;
  } catch (error) {
    if (error instanceof OcellusError) throw error;
    throw new MediaError({
      where: label,
      expected: `a ${format.toUpperCase()} that can be decoded`,
      got: error instanceof Error ? error.message : String(error),
      remedy: "convert the picture to PNG or JPEG",
      cause: error,
    });
  }
}
