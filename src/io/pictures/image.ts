/**
 * Decodes picture files to RGB8, with the pixels of the reference's `Image.open(f).convert("RGB")` (Pillow): alpha dropped, colour
 * profile and gamma ignored. The EXIF orientation is applied by default. Source: model specification 3.1.
 *
 * `inspectPicture` parses the headers once; the decoder of the format takes what it parsed.
 */
import { platform } from "#platform";
import { causeMessage } from "../../base/cause-message.js";
import { MediaError, OcellusError, OptionError } from "../../base/errors.js";
import { decodeAvif } from "./avif.js";
import { decodeBmp } from "./bmp.js";
import { decodeGif } from "./gif.js";
import { inspectPicture, MAX_PIXELS, type PictureInfo } from "./inspect-picture.js";
import { applyOrientation, inverseOrientation } from "./orientation.js";
import { checkAvif, cleanJpeg, cleanWebp } from "./picture-clean.js";
import { decodePng } from "./png.js";
import type { Pixels } from "./resize.js";
import type { TiffHeader } from "./tiff-header.js";

export { MAX_PIXELS };

/** A decoded picture: RGB8 `[height, width, 3]`, and its name in error messages. */
export interface Picture extends Pixels {
  label: string;
}

export interface DecodeImageOptions {
  /** Name of the picture in error messages: a file name, a URL, "image 2". */
  label: string;
  /** Whether to apply the EXIF orientation; defaults to "apply". */
  orientation?: "apply" | "ignore";
  signal?: AbortSignal | undefined;
}

/**
 * Decodes a JPEG, PNG, WebP, GIF, AVIF or BMP (the first frame of an animation); in Node also a TIFF, and a HEIC if libheif-js is
 * installed. The format is detected from the content, not the name. Throws MediaError naming the picture for an unsupported, truncated
 * or broken file, and for one without pixels or with more than 2^28; OptionError for an unknown orientation; MissingPackageError if the
 * decoder is not installed. `parsed`: the file's headers, if they are parsed already.
 */
export async function decodeImage(
  bytes: Uint8Array,
  options: DecodeImageOptions,
  parsed?: PictureInfo,
): Promise<Picture> {
  const { label, orientation = "apply" } = options;
  if (orientation !== "apply" && orientation !== "ignore") {
    throw new OptionError({
      where: "orientation",
      expected: '"apply" or "ignore"',
      got: JSON.stringify(orientation),
      remedy: "leave it out to turn pictures by their EXIF orientation",
    });
  }
  const info = parsed ?? inspectPicture(bytes, label);
  const decoded = await decodeStored(bytes, info, label, options.signal);
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
  // The reference applies the orientation of a TIFF in any case.
  const turned = orientation === "apply" || info.format === "tiff";
  const upright = turned ? applyOrientation(decoded, info.orientation) : decoded;
  return { ...upright, label };
}

/** Rejects TIFF sample formats that the decoder does not convert as the reference does. */
function checkTiff({ bits = 1, sampleFormat = 1, photometric = -1 }: TiffHeader, where: string): void {
  if ([1, 2, 4, 8, 16].includes(bits) && sampleFormat === 1 && photometric >= 0 && photometric <= 6) return;
  throw new MediaError({
    where,
    expected: "a TIFF of 1, 2, 4, 8 or 16 bits, unsigned: gray, palette, RGB, CMYK or YCbCr",
    got: `${bits} bits, sample format ${sampleFormat}, photometric ${photometric}`,
    remedy: "convert the picture to PNG",
  });
}

/** Decodes the stored pixels, without applying the orientation. */
async function decodeStored(
  bytes: Uint8Array,
  info: PictureInfo,
  label: string,
  signal: AbortSignal | undefined,
): Promise<Pixels> {
  switch (info.format) {
    case "png":
      return decodePng(bytes, label, info.chunks, signal);
    case "gif":
      return decodeGif(bytes, label, info.gif);
    case "bmp":
      return decodeBmp(bytes, label, info.bmp);
    case "jpeg":
      return decodeByPlatform(cleanJpeg(bytes, info.segments, info.width * info.height, label), info, label);
    case "webp":
      return decodeByPlatform(cleanWebp(bytes, info.webp, label), info, label);
    case "tiff":
      checkTiff(info.tiff, label);
      return decodeByPlatform(bytes, info, label);
    case "avif":
      checkAvif(info.heif, label);
      return decodeByPlatform(bytes, info, label);
    default:
      return decodeByPlatform(bytes, info, label);
  }
}

/** Decodes with the platform's decoder of the format; wraps its errors in a MediaError. */
async function decodeByPlatform(bytes: Uint8Array, info: PictureInfo, label: string): Promise<Pixels> {
  const { format } = info;
  try {
    if (format === "avif" && platform.decodeSamples) {
      return await decodeAvif(info.heif, platform.decodeSamples, label, MAX_PIXELS);
    }
    const decoded = await platform.decodePicture(bytes, format, label);
    // The platform's AVIF and HEIC decoders apply the rotation in the boxes; undo it.
    return "heif" in info ? applyOrientation(decoded, inverseOrientation(info.heif.turn)) : decoded;
  } catch (error) {
    if (error instanceof OcellusError) throw error;
    throw new MediaError({
      where: label,
      expected: `a ${format.toUpperCase()} that can be decoded`,
      got: causeMessage(error),
      remedy: "convert the picture to PNG or JPEG",
      cause: error,
    });
  }
}
