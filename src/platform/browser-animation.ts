/**
 * Decodes animated WebP in browsers with `ImageDecoder`, which composes the frames and returns RGB. (Still WebP, which it returns as
 * subsampled planes, is decoded by `browser-pictures.ts`.)
 */
import { causeMessage } from "../base/cause-message.js";
import { MediaError } from "../base/errors.js";
import type { Animation, DecodedPicture } from "./platform.js";

// Missing in TypeScript's library. Source: WebCodecs, section 10.
interface ImageDecoder {
  readonly tracks: { readonly ready: Promise<void>; readonly selectedTrack: { readonly frameCount: number } | null };
  readonly completed: Promise<void>;
  decode(options: { frameIndex: number }): Promise<{ image: VideoFrame }>;
  close(): void;
}
type ImageDecoderConstructor = new (init: {
  data: Uint8Array;
  type: string;
  preferAnimation: boolean;
  colorSpaceConversion: "none";
}) => ImageDecoder;

/** Opens an animation. Throws MediaError naming `where` for a broken file, and if the browser has no ImageDecoder. */
export async function openAnimation(bytes: Uint8Array, where: string): Promise<Animation> {
  const Decoder = (globalThis as { ImageDecoder?: ImageDecoderConstructor }).ImageDecoder;
  if (!Decoder) {
    throw new MediaError({
      where,
      expected: "a browser with ImageDecoder, which reads animations",
      got: "undefined",
      remedy: "convert the animation to MP4, or pass its frames as an array of pictures",
    });
  }
  const decoder = new Decoder({ data: bytes, type: "image/webp", preferAnimation: true, colorSpaceConversion: "none" });
  const fault = (cause: unknown): MediaError =>
    new MediaError({
      where,
      expected: "a WEBP that can be decoded",
      got: causeMessage(cause),
      remedy: "get an undamaged copy, or convert it to MP4",
      cause,
    });
  try {
    await decoder.tracks.ready;
    await decoder.completed;
    const durationsMilliseconds: number[] = [];
    const count = decoder.tracks.selectedTrack?.frameCount ?? 0;
    for (let frameIndex = 0; frameIndex < count; frameIndex++) {
      const { image } = await decoder.decode({ frameIndex });
      durationsMilliseconds.push((image.duration ?? 0) / 1000);
      image.close();
    }
    return {
      durationsMilliseconds,
      picture: async (frameIndex) => {
        const { image } = await decoder.decode({ frameIndex }).catch((cause: unknown) => {
          throw fault(cause);
        });
        return toPicture(image, where);
      },
      close: () => decoder.close(),
    };
  } catch (cause) {
    decoder.close();
    throw fault(cause);
  }
}

/** Offset of the red byte within a pixel. */
const RED_BYTE: Record<string, number> = { RGBA: 0, RGBX: 0, BGRA: 2, BGRX: 2 };

/** Converts a frame to RGB8, and closes it. */
async function toPicture(image: VideoFrame, where: string): Promise<DecodedPicture> {
  try {
    const { format } = image;
    const { width, height } = image.visibleRect ?? { width: 0, height: 0 };
    const red = RED_BYTE[format ?? ""];
    if (red === undefined) {
      throw new MediaError({
        where,
        expected: "pictures of RGB from the browser's ImageDecoder",
        got: `pixel format ${format}`,
        remedy: "convert the animation to MP4",
      });
    }
    const pixels = new Uint8Array(image.allocationSize());
    const [layout] = await image.copyTo(pixels);
    const data = new Uint8Array(width * height * 3);
    let write = 0;
    for (let y = 0; y < height; y++) {
      let read = layout!.offset + y * layout!.stride;
      for (let x = 0; x < width; x++, read += 4, write += 3) {
        data[write] = pixels[read + red]!;
        data[write + 1] = pixels[read + 1]!;
        data[write + 2] = pixels[read + 2 - red]!;
      }
    }
    return { width, height, data };
  } finally {
    image.close();
  }
}
