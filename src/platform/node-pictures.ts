/**
 * Decodes JPEG, WebP, TIFF and the samples of AVIF in Node with sharp (libvips), without its colour conversions, and HEIC with
 * libheif-js. PNG, GIF and BMP are decoded by `io/` in every runtime.
 */
import { firstLineOf } from "../base/cause-message.js";
import { MediaError } from "../base/errors.js";
import { installCommand } from "../base/optional-packages.js";
import { importPackage } from "./node-packages.js";
import type { DecodedPicture, DecodedSamples, PictureFormat } from "./platform.js";

type Sharp = typeof import("sharp").default;

async function loadSharp(where: string): Promise<Sharp> {
  const { default: sharp } = await importPackage(() => import("sharp"), {
    where,
    expected: "the package sharp, which decodes JPEG, WebP, AVIF and TIFF in Node",
    remedy: `run \`${installCommand("sharp")}\`, or convert the picture to PNG`,
  });
  return sharp;
}

/** Returns `round(a · b / 255)` for 8-bit values, as in Pillow (`MULDIV255`). */
function multiplyDivide255(a: number, b: number): number {
  const t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

/** Converts CMYK `[pixels, 4]` to RGB by Pillow's formula: (255 − ink)·(255 − black) / 255 for each channel. */
function cmykToRgb(ink: Uint8Array, pixels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const light = 255 - ink[i * 4 + 3]!;
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = light - multiplyDivide255(ink[i * 4 + c]!, light);
  }
  return rgb;
}

/** Converts `channels` samples per pixel to RGB: drops alpha, and repeats gray. */
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

/** Fails on truncated data, but not on warnings, as the reference. Sizes are checked before. */
const OPTIONS = { ignoreIcc: true, failOn: "truncated", limitInputPixels: false, animated: false } as const;

function undecodable(format: string, where: string, cause: unknown): MediaError {
  return new MediaError({
    where,
    expected: `a ${format.toUpperCase()} that can be decoded`,
    got: firstLineOf(cause),
    remedy: "get an undamaged copy, or convert the picture to PNG",
    cause,
  });
}

/**
 * Decodes the first frame to RGB8 `[height, width, 3]`: alpha is dropped, not composited; no colour management; the EXIF orientation is
 * not applied. Pixels equal Pillow's for JPEG and WebP. Throws MediaError naming `where` for a broken or truncated file,
 * MissingPackageError if the package is not installed.
 */
export async function decodePicture(bytes: Uint8Array, format: PictureFormat, where: string): Promise<DecodedPicture> {
  if (format === "png" || format === "gif" || format === "bmp") {
    throw new MediaError({ where, expected: "a JPEG, WebP, TIFF or HEIC", got: format, remedy: "use decodeImage" });
  }
  if (format === "heic") return decodeHeic(bytes, where);
  const sharp = await loadSharp(where);
  try {
    const { space } = await sharp(bytes, OPTIONS).metadata();
    if (space === "grey16" || space === "rgb16") return await fromSixteenBits(sharp, bytes, space);
    const image = sharp(bytes, OPTIONS);
    // Without both, libvips converts CMYK to sRGB with a built-in profile.
    if (space === "cmyk") image.pipelineColourspace("cmyk").toColourspace("cmyk");
    const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const pixels = info.width * info.height;
    const rgb = space === "cmyk" ? cmykToRgb(data, pixels) : toRgb(data, pixels, info.channels);
    return { width: info.width, height: info.height, data: rgb };
  } catch (cause) {
    throw undecodable(format, where, cause);
  }
}

/** Converts a 16-bit TIFF as Pillow does: colours to their high byte, gray clamped to 255. */
async function fromSixteenBits(sharp: Sharp, bytes: Uint8Array, space: "grey16" | "rgb16"): Promise<DecodedPicture> {
  const { width, height, channels, data } = await sixteenBits(sharp(bytes, OPTIONS).toColourspace(space));
  const samples = Uint8Array.from(data, (value) => (space === "rgb16" ? value >> 8 : Math.min(value, 255)));
  return { width, height, data: toRgb(samples, width * height, channels) };
}

async function sixteenBits(image: ReturnType<Sharp>) {
  const { data, info } = await image.raw({ depth: "ushort" }).toBuffer({ resolveWithObject: true });
  // A Uint16Array needs an even offset.
  return { ...info, data: new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length)) };
}

/** See `Platform.decodeSamples`. Throws MediaError naming `where`, MissingPackageError without sharp. */
export async function decodeSamples(avif: Uint8Array, deep: boolean, where: string): Promise<DecodedSamples> {
  const sharp = await loadSharp(where);
  try {
    if (deep) {
      const { width, height, channels, data } = await sixteenBits(sharp(avif, OPTIONS).toColourspace("rgb16"));
      return { width, height, channels, bits: 16, data };
    }
    const { data, info } = await sharp(avif, OPTIONS).raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { width, height, channels, bits: 8, data };
  } catch (cause) {
    throw undecodable("avif", where, cause);
  }
}

/** The parts of libheif-js in use; the package has no types. */
interface Heif {
  HeifDecoder: new () => {
    decode(bytes: Uint8Array): {
      get_width(): number;
      get_height(): number;
      display(into: { data: Uint8ClampedArray; width: number; height: number }, done: (filled: unknown) => void): void;
    }[];
  };
}

async function decodeHeic(bytes: Uint8Array, where: string): Promise<DecodedPicture> {
  // Not resolved by the compiler: the package is optional.
  const name: string = "libheif-js/wasm-bundle.js";
  const { default: heif } = await importPackage<{ default: Heif }>(() => import(name), {
    where,
    expected: "the package libheif-js, which decodes HEIC in Node",
    remedy: `run \`${installCommand("libheif-js")}\`, or convert the picture to JPEG`,
  });
  try {
    const [image] = new heif.HeifDecoder().decode(bytes);
    if (!image) throw new Error("no picture in it");
    const width = image.get_width();
    const height = image.get_height();
    const rgba = new Uint8ClampedArray(width * height * 4);
    await new Promise<void>((resolve, reject) => {
      image.display({ data: rgba, width, height }, (filled) =>
        filled ? resolve() : reject(new Error("a picture that libheif cannot decode")),
      );
    });
    return { width, height, data: toRgb(new Uint8Array(rgba.buffer), width * height, 4) };
  } catch (cause) {
    throw undecodable("heic", where, cause);
  }
}
