import { MediaError } from "../../base/errors.js";
import { kindOf } from "../../base/kind-of.js";
import { copyOf } from "../bytes/bytes.js";
import type { Picture } from "./image.js";

/** Row-major pixels: RGBA8 as in an ImageData (4 bytes each; alpha is dropped), or RGB8 (3 bytes each). */
export interface RawPixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** Copies pixels of the caller to RGB8. Throws MediaError for a wrong size or type. */
export function fromPixels({ data, width, height }: RawPixels, label: string): Picture {
  const pixels = width * height;
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new MediaError({
      where: label,
      expected: "a width and a height of at least one pixel",
      got: `${width}×${height}`,
      remedy: "give pixels as { data, width, height }",
    });
  }
  // An ImageData may contain float16 elements, and callers may pass arrays of numbers.
  if (!ArrayBuffer.isView(data) || (data as Uint8Array).BYTES_PER_ELEMENT !== 1) {
    throw new MediaError({
      where: label,
      expected: "pixels as a Uint8Array or Uint8ClampedArray",
      got: kindOf(data),
      remedy: "give 3 or 4 bytes a pixel",
    });
  }
  if (data.length === pixels * 3) return { data: copyOf(data, label), width, height, label };
  if (data.length === pixels * 4) {
    const rgb = new Uint8Array(pixels * 3);
    for (let i = 0; i < pixels; i++) rgb.set(data.subarray(i * 4, i * 4 + 3), i * 3);
    return { data: rgb, width, height, label };
  }
  throw new MediaError({
    where: label,
    expected: `${pixels * 3} bytes of RGB or ${pixels * 4} of RGBA for ${width}×${height}`,
    got: `${data.length} bytes`,
    remedy: "give 3 or 4 bytes a pixel",
  });
}
