/**
 * JPEG, WebP, GIF and AVIF in Node, decoded by sharp (libvips): decoding only, every conversion it offers left alone.
 * PNG does not come here: `io/png.ts` decodes it in every runtime.
 */
import { MediaError, MissingPackageError } from "../runtime/errors.js";
import type { DecodedPicture, PictureFormat } from "./platform.js";

type Sharp = typeof import("sharp").default;

async function loadSharp(where: string): Promise<Sharp> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    throw new MissingPackageError({
      where,
      expected: "the package sharp, which decodes JPEG, WebP, GIF and AVIF in Node",
      got: `an import that fails: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`,
      remedy: "run npm install sharp, or convert the picture to PNG",
      cause,
    });
  }
}

/** `round(a · b / 255)` for 8-bit values, as Pillow computes it. */
function multiplyDivide255(a: number, b: number): number {
  const t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

/** Ink levels `[pixels, 4]` to RGB by Pillow's formula: every channel is what black and its own ink leave of white. */
function cmykToRgb(ink: Uint8Array, pixels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const light = 255 - ink[i * 4 + 3]!;
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = light - multiplyDivide255(ink[i * 4 + c]!, light);
  }
  return rgb;
}

/** The first three of `channels` samples a pixel; one or two (gray, gray with alpha) become three equal ones. */
function toRgb(samples: Uint8Array, pixels: number, channels: number): Uint8Array {
  if (channels === 3) return new Uint8Array(samples.buffer, samples.byteOffset, pixels * 3);
  const rgb = new Uint8Array(pixels * 3);
  const green = channels > 2 ? 1 : 0;
  const blue = channels > 2 ? 2 : 0;
  for (let i = 0, from = 0, to = 0; i < pixels; i++, from += channels, to += 3) {
    rgb[to] = samples[from]!;
    rgb[to + 1] = samples[from + green]!;
    rgb[to + 2] = samples[from + blue]!;
  }
  return rgb;
}

/**
 * Decodes the first frame to RGB8 `[height, width, 3]`: alpha dropped, not composited; no colour management; EXIF
 * rotation not applied. Exact against Pillow for JPEG, WebP and GIF. Throws MediaError naming `where` for a broken or
 * cut file, MissingPackageError without sharp.
 */
export async function decodePicture(bytes: Uint8Array, format: PictureFormat, where: string): Promise<DecodedPicture> {
  if (format === "png") {
    throw new MediaError({ where, expected: "a picture other than PNG", got: "PNG", remedy: "use decodePng" });
  }
  const sharp = await loadSharp(where);
  try {
    const options = { ignoreIcc: true, failOn: "truncated", limitInputPixels: false, animated: false } as const;
    const { space } = await sharp(bytes, options).metadata();
    const image = sharp(bytes, options);
    // Without both, libvips converts ink to sRGB by a profile of its own.
    if (space === "cmyk") image.pipelineColourspace("cmyk").toColourspace("cmyk");
    const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const pixels = info.width * info.height;
    const rgb = space === "cmyk" ? cmykToRgb(data, pixels) : toRgb(data, pixels, info.channels);
    return { width: info.width, height: info.height, data: rgb };
  } catch (cause) {
    throw new MediaError({
      where,
      expected: `a ${format.toUpperCase()} that can be decoded`,
      got: cause instanceof Error ? cause.message.split("\n")[0]! : String(cause),
      remedy: "get an undamaged copy, or convert the picture to PNG",
      cause,
    });
  }
}
