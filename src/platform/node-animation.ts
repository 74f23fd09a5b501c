/** Decodes animated WebP in Node with sharp (libvips), which composes the frames. */
import { firstLineOf } from "../base/cause-message.js";
import { MediaError } from "../base/errors.js";
import { installCommand } from "../base/optional-packages.js";
import { importPackage } from "./node-packages.js";
import type { Animation } from "./platform.js";

/** Opens an animation. Throws MediaError naming `where` for a broken file, MissingPackageError without sharp. */
export async function openAnimation(bytes: Uint8Array, where: string): Promise<Animation> {
  const { default: sharp } = await importPackage(() => import("sharp"), {
    where,
    expected: "the package sharp, which decodes WebP in Node",
    remedy: `run \`${installCommand("sharp")}\`, or pass the clip as an array of pictures`,
  });
  const options = { ignoreIcc: true, failOn: "truncated", limitInputPixels: false } as const;
  const guarded = async <T>(decode: () => Promise<T>): Promise<T> => {
    try {
      return await decode();
    } catch (cause) {
      throw new MediaError({
        where,
        expected: "a WEBP that can be decoded",
        got: firstLineOf(cause),
        remedy: "get an undamaged copy, or convert it to MP4",
        cause,
      });
    }
  };
  const { pages = 1, delay = [] } = await guarded(() => sharp(bytes, { ...options, pages: -1 }).metadata());
  return {
    durationsMilliseconds: Array.from({ length: pages }, (_, i) => delay[i] ?? 0),
    picture: (index) =>
      guarded(async () => {
        const image = sharp(bytes, { ...options, page: index, pages: 1 })
          .toColourspace("srgb")
          .removeAlpha();
        const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
        return {
          width: info.width,
          height: info.height,
          data: new Uint8Array(data.buffer, data.byteOffset, data.length),
        };
      }),
    close: () => undefined,
  };
}
