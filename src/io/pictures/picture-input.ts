import { platform } from "#platform";
import { AbortedError, MediaError, throwIfAborted } from "../../base/errors.js";
import type { PixelSource } from "../../platform/platform.js";
import { type Bytes, copyOf, isBytes, MAX_MEDIA_BYTES } from "../bytes/bytes.js";
import { mediumSource } from "../bytes/source.js";
import type { Picture } from "./image.js";
import { applyOrientation } from "./orientation.js";
import type { RawPixels } from "./raw-pixels.js";
import type { Pixels } from "./resize.js";

export type { RawPixels } from "./raw-pixels.js";

/**
 * Input picture: path or URL, Blob or File, the bytes of a file (any view, such as a Node Buffer, an ArrayBuffer or a
 * SharedArrayBuffer), RGB(A) pixels (such as an ImageData), a VideoFrame, and in browsers an ImageBitmap, a canvas or an image element.
 * Inputs are not closed; bytes and pixels are copied.
 */
export type PictureInput = string | URL | Blob | ArrayBufferView | ArrayBufferLike | RawPixels | PixelSource;

const ACCEPTED =
  "a path, a URL, a Blob, the bytes of a file, pixels as { data, width, height }, a VideoFrame, or in a browser an " +
  "ImageBitmap, a canvas or an image element";

export interface PictureOptions {
  /** Whether to apply the EXIF orientation of pictures; defaults to "apply". */
  orientation?: "apply" | "ignore" | undefined;
  signal?: AbortSignal | undefined;
}

/** Reads and decodes a picture. `label`: its name in error messages. Throws MediaError, SourceError, AbortedError. */
export async function readPicture(input: PictureInput, label: string, options: PictureOptions = {}): Promise<Picture> {
  throwIfAborted(options.signal, label);
  if (isRawPixels(input)) return (await import("./raw-pixels.js")).fromPixels(input, label);
  const turn = options.orientation ?? "apply";
  if (!isFile(input)) return { ...(await fromObject(input, label, turn)), label };
  const name =
    typeof input === "string" && !input.startsWith("data:") ? input : input instanceof URL ? input.href : label;
  const bytes = await readBytes(input, name, label, options.signal);
  if (options.signal?.aborted) throw new AbortedError(name, options.signal.reason);
  // Imported on demand with the first file.
  const { decodeImage } = await import("./image.js");
  return decodeImage(bytes, { label: name, orientation: turn, signal: options.signal });
}

/** Inputs that contain the bytes of a file. */
type FileInput = string | URL | Blob | Bytes;

function isFile(input: unknown): input is FileInput {
  return typeof input === "string" || input instanceof Blob || input instanceof URL || isBytes(input);
}

/** Duck-types a VideoFrame: runtimes and packages have different classes. */
function isVideoFrame(value: object): value is VideoFrame {
  return "copyTo" in value && "allocationSize" in value && "visibleRect" in value && "colorSpace" in value;
}

/** Reads a decoded picture. Throws MediaError for any other value, such as one from JSON or untyped code. */
async function fromObject(input: unknown, label: string, turn: "apply" | "ignore"): Promise<Pixels> {
  if (typeof input === "object" && input !== null) {
    if (isVideoFrame(input)) {
      const { orientationOfFrame, pixelsOfFrame } = await import("./video-frame.js");
      const pixels = await pixelsOfFrame(input, label);
      return turn === "apply" ? applyOrientation(pixels, orientationOfFrame(input)) : pixels;
    }
    const pixels = await platform.readPixels(input, label);
    if (pixels) return pixels;
  }
  const { kindOf, unwrapping } = await import("../../base/kind-of.js");
  throw new MediaError({
    where: label,
    expected: ACCEPTED,
    got: kindOf(input),
    remedy: unwrapping(input) ?? "give the picture as one of these",
  });
}

async function readBytes(input: FileInput, name: string, label: string, signal?: AbortSignal): Promise<Uint8Array> {
  if (isBytes(input)) return copyOf(input, name);
  if (input instanceof Blob) return new Uint8Array(await input.arrayBuffer());
  const text = String(input);
  if (text.startsWith("data:")) return bytesOfDataURL(text, name);
  const source = await mediumSource(text, label, signal);
  try {
    if (source.sizeBytes > MAX_MEDIA_BYTES) {
      throw new MediaError({
        where: name,
        expected: `a picture file of at most ${MAX_MEDIA_BYTES} bytes`,
        got: `${source.sizeBytes} bytes`,
        remedy: "give a picture, or the pixels themselves",
      });
    }
    return await source.read(0, source.sizeBytes, signal);
  } finally {
    await source.close();
  }
}

async function bytesOfDataURL(text: string, name: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await (await fetch(text)).arrayBuffer());
  } catch (cause) {
    throw new MediaError({
      where: name,
      expected: "a data: URL",
      got: `${text.slice(0, 40)}…, which does not parse`,
      remedy: "encode the picture's bytes as data:image/png;base64,…",
      cause,
    });
  }
}

function isRawPixels(input: unknown): input is RawPixels {
  return typeof input === "object" && input !== null && "data" in input && "width" in input && "height" in input;
}
