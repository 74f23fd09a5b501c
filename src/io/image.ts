/**
 * Picture files to RGB8, as the reference's `Image.open(f).convert("RGB")` gives it: alpha dropped, colour profile and
 * gamma ignored. EXIF orientation is applied unless told otherwise. Source: model specification 3.1.
 */
import { platform } from "#platform";
import { MediaError, OcellusError, OptionError } from "../runtime/errors.js";
import { applyOrientation, readOrientation } from "./exif.js";
import { cleanPicture } from "./picture-clean.js";
import { pictureSize, sniffFormat } from "./picture-format.js";
import { decodePng } from "./png.js";
import type { Pixels } from "./resize.js";

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

/** 16384 × 16384: more than any camera gives, and still less than 1 GiB as RGB8. */
export const MAX_PIXELS = 2 ** 28;

/**
 * Decodes a JPEG, PNG, WebP, GIF or AVIF (the first frame of an animation). The format is told by content, never by
 * name. Throws MediaError naming the picture if it is empty, of another kind, cut, broken, has no pixel or more than
 * 2^28; OptionError for an unknown orientation; MissingPackageError where the decoder is not installed.
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
  const format = sniffFormat(bytes, label);
  const size = pictureSize(bytes, format);
  if (!size || size.width === 0 || size.height === 0 || size.width * size.height > MAX_PIXELS) {
    throw new MediaError({
      where: label,
      expected: `a ${format.toUpperCase()} with 1 to ${MAX_PIXELS} pixels`,
      got: size ? `${size.width}×${size.height}` : `no readable size in its ${bytes.length} bytes`,
      remedy: size && size.width * size.height > MAX_PIXELS ? "make the picture smaller" : "get an undamaged copy",
    });
  }
  let decoded: Pixels;
  if (format === "png") {
    decoded = await decodePng(bytes, label);
  } else {
    const clean = cleanPicture(bytes, format, label);
    try {
      decoded = await platform.decodePicture(clean, format, label);
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
  // An AVIF may be turned by its own boxes; everything else must come back as stored.
  const asStored = decoded.width === size.width && decoded.height === size.height;
  if (decoded.data.length !== decoded.width * decoded.height * 3 || (!asStored && format !== "avif")) {
    throw new MediaError({
      where: label,
      expected: `${size.width}×${size.height} RGB pixels from the decoder`,
      got: `${decoded.width}×${decoded.height} in ${decoded.data.length} bytes`,
      remedy: "convert the picture to PNG",
    });
  }
  const upright = orientation === "apply" ? applyOrientation(decoded, readOrientation(bytes, format)) : decoded;
  return { ...upright, label };
}
