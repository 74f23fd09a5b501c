/**
 * Decodes JPEG, WebP and AVIF in browsers, and HEIC and TIFF in Safari, with `createImageBitmap` and a readback through WebGPU, of
 * opaque pictures through a 2D canvas.
 *
 * A 2D canvas premultiplies by alpha and rounds, and `ImageDecoder` returns subsampled planes; a texture copy returns the decoder's exact
 * pixels. PNG, GIF and BMP are decoded by `io/` in every runtime.
 */
import { causeMessage } from "../base/cause-message.js";
import { MediaError, NoAdapterError, OcellusError } from "../base/errors.js";
import { canvasIsExact, readOpaque } from "./browser-canvas.js";
import type { DecodedPicture, PictureFormat, PixelSource } from "./platform.js";

/** Side of the blocks in which a picture is read back; limits texture and buffer to 16 MiB each. */
const BLOCK_PIXELS = 2048;
/** Row alignment that WebGPU requires of texture copies. */
const ROW_ALIGNMENT_BYTES = 256;

/** A separate device: pictures may be decoded before, or without, opening the model's device. */
let readbackDevice: Promise<GPUDevice> | undefined;

async function openDevice(): Promise<GPUDevice> {
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  const adapter = await gpu?.requestAdapter();
  if (!adapter) {
    throw new NoAdapterError({
      where: "reading back a decoded picture",
      expected: "a WebGPU adapter",
      got: gpu ? "null" : "a browser or page without navigator.gpu",
      remedy: "use a browser with WebGPU in a secure context, or pass the picture's pixels",
    });
  }
  const device = await adapter.requestDevice({ label: "ocellus.pictures" });
  void device.lost.then(() => {
    readbackDevice = undefined;
  });
  return device;
}

/** Returns the shared device; failed attempts are retried. */
function getDevice(): Promise<GPUDevice> {
  readbackDevice ??= openDevice().catch((error: unknown) => {
    readbackDevice = undefined;
    throw error;
  });
  return readbackDevice;
}

/** Copies a block of RGBA rows of `bytesPerRow` bytes into an RGB picture. */
function placeBlock(
  rgba: Uint8Array,
  bytesPerRow: number,
  block: { x: number; y: number; width: number; height: number },
  rgb: Uint8Array,
  pictureWidth: number,
): void {
  for (let y = 0; y < block.height; y++) {
    let from = y * bytesPerRow;
    let to = ((block.y + y) * pictureWidth + block.x) * 3;
    for (let x = 0; x < block.width; x++, from += 4, to += 3) {
      rgb[to] = rgba[from]!;
      rgb[to + 1] = rgba[from + 1]!;
      rgb[to + 2] = rgba[from + 2]!;
    }
  }
}

/** Reads back pixels as RGB8 `[height, width, 3]`; alpha is dropped. */
async function readBack(source: PixelSource, width: number, height: number): Promise<Uint8Array> {
  const device = await getDevice();
  const blockWidth = Math.min(width, BLOCK_PIXELS);
  const blockHeight = Math.min(height, BLOCK_PIXELS);
  const bytesPerRow = Math.ceil((blockWidth * 4) / ROW_ALIGNMENT_BYTES) * ROW_ALIGNMENT_BYTES;
  const texture = device.createTexture({
    label: "ocellus.pictures.block",
    size: [blockWidth, blockHeight],
    format: "rgba8unorm",
    usage: GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC | GPUTextureUsage.RENDER_ATTACHMENT,
  });
  const buffer = device.createBuffer({
    label: "ocellus.pictures.readback",
    size: bytesPerRow * blockHeight,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const rgb = new Uint8Array(width * height * 3);
  try {
    for (let y = 0; y < height; y += BLOCK_PIXELS) {
      for (let x = 0; x < width; x += BLOCK_PIXELS) {
        const block = { x, y, width: Math.min(BLOCK_PIXELS, width - x), height: Math.min(BLOCK_PIXELS, height - y) };
        const size = [block.width, block.height];
        device.queue.copyExternalImageToTexture(
          { source, origin: [x, y] },
          { texture, premultipliedAlpha: false, colorSpace: "srgb" },
          size,
        );
        const encoder = device.createCommandEncoder();
        encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, size);
        device.queue.submit([encoder.finish()]);
        await buffer.mapAsync(GPUMapMode.READ);
        placeBlock(new Uint8Array(buffer.getMappedRange()), bytesPerRow, block, rgb, width);
        buffer.unmap();
      }
    }
  } finally {
    buffer.destroy();
    texture.destroy();
  }
  return rgb;
}

/**
 * Decodes the first frame to RGB8 `[height, width, 3]`: alpha is dropped, not composited. EXIF and ICC profiles must have been removed
 * from the bytes (`io/pictures/picture-clean.ts`), since browsers always apply them. Pixels equal Pillow's for JPEG and WebP, within 1
 * for CMYK JPEG. Throws MediaError naming `where` for a broken
 * file, NoAdapterError without WebGPU.
 */
export async function decodePicture(bytes: Uint8Array, format: PictureFormat, where: string): Promise<DecodedPicture> {
  if (format === "png") {
    throw new MediaError({ where, expected: "a picture other than PNG", got: "PNG", remedy: "use decodePng" });
  }
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: `image/${format}` });
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (cause) {
    throw new MediaError({
      where,
      expected: `a ${format.toUpperCase()} this browser can decode`,
      got: causeMessage(cause),
      remedy: "get an undamaged copy, or convert the picture to PNG",
      cause,
    });
  }
  try {
    const { width, height } = bitmap;
    const isCanvas = isOpaque(bytes, format) && (await canvasIsExact());
    return { width, height, data: isCanvas ? readOpaque(bitmap) : await readBack(bitmap, width, height) };
  } finally {
    bitmap.close();
  }
}

/** Whether a picture has no alpha: JPEG, and the simple form of lossy WebP. */
function isOpaque(bytes: Uint8Array, format: PictureFormat): boolean {
  return format === "jpeg" || (format === "webp" && String.fromCharCode(...bytes.subarray(12, 16)) === "VP8 ");
}

/**
 * Reads the pixels of a bitmap, canvas, image element or frame; undefined for other objects. Premultiplied pixels of canvases and bitmaps
 * are unpremultiplied, which is imprecise for low alpha. Throws MediaError naming `where` for an empty, closed, broken or cross-origin
 * source.
 */
export function readPixels(source: object, where: string): Promise<DecodedPicture> | undefined {
  // By tag, not by class: objects of other realms, such as iframes, have other classes.
  const kind = Object.prototype.toString.call(source).slice(8, -1);
  switch (kind) {
    case "HTMLImageElement":
      return readImage(source as HTMLImageElement, where);
    case "ImageBitmap":
    case "HTMLCanvasElement":
    case "OffscreenCanvas": {
      const { width, height } = source as ImageBitmap;
      return readSource(source as PixelSource, width, height, kind, where);
    }
    case "VideoFrame": {
      const { displayWidth, displayHeight } = source as VideoFrame;
      return readSource(source as VideoFrame, displayWidth, displayHeight, kind, where);
    }
    default:
      return undefined;
  }
}

/**
 * Copies a source for transfer to a worker, with the pixels that {@link readPixels} would read; undefined for other objects. Canvases and
 * frames are copied immediately, image elements once they are loaded. Throws MediaError naming `where`.
 */
export function snapshot(source: object, where: string): Promise<ImageBitmap | VideoFrame> | undefined {
  const kind = Object.prototype.toString.call(source).slice(8, -1);
  const copied = async (copy: () => ImageBitmap | VideoFrame | Promise<ImageBitmap>) => {
    try {
      return await copy();
    } catch (cause) {
      throw unreadable(kind, cause, where);
    }
  };
  switch (kind) {
    case "HTMLImageElement":
      return bitmapOf(source as HTMLImageElement, where);
    case "ImageBitmap":
      // createImageBitmap might premultiply or unpremultiply.
      return copied(() => structuredClone(source as ImageBitmap));
    case "HTMLCanvasElement":
    case "OffscreenCanvas":
      return copied(() => createImageBitmap(source as HTMLCanvasElement));
    case "VideoFrame":
      return copied(() => (source as VideoFrame).clone());
    default:
      return undefined;
  }
}

/** Reads the upright pixels of an image element. A texture copy directly from it would apply colour management. */
async function readImage(image: HTMLImageElement, where: string): Promise<DecodedPicture> {
  const bitmap = await bitmapOf(image, where);
  try {
    return await readSource(bitmap, bitmap.width, bitmap.height, "HTMLImageElement", where);
  } finally {
    bitmap.close();
  }
}

async function bitmapOf(image: HTMLImageElement, where: string): Promise<ImageBitmap> {
  try {
    await image.decode();
    return await createImageBitmap(image, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (cause) {
    throw unreadable("HTMLImageElement", cause, where);
  }
}

async function readSource(
  source: PixelSource,
  width: number,
  height: number,
  kind: string,
  where: string,
): Promise<DecodedPicture> {
  if (width === 0 || height === 0) {
    throw new MediaError({
      where,
      expected: `an open ${kind} of at least one pixel`,
      got: `${width}×${height}`,
      remedy: "close or transfer it after the answer, and draw it into a canvas before",
    });
  }
  try {
    return { width, height, data: await readBack(source, width, height) };
  } catch (cause) {
    throw cause instanceof OcellusError ? cause : unreadable(kind, cause, where);
  }
}

function unreadable(kind: string, cause: unknown, where: string): MediaError {
  return new MediaError({
    where,
    expected: `an ${kind} whose pixels can be read`,
    got: causeMessage(cause),
    remedy: "load it completely, and from this origin or with crossorigin; or give the file itself",
    cause,
  });
}
