/** Applies EXIF orientations to pixels. Source: Exif 2.32, section 4.6.4. */
import type { Pixels } from "./resize.js";

/**
 * How to transform stored pixels for display: 1 not at all; 2 mirror; 3 rotate by 180°; 4 flip; 5 transpose; 6 rotate clockwise;
 * 7 transverse; 8 rotate anticlockwise.
 */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Returns the inverse of an orientation. */
export function inverseOrientation(orientation: Orientation): Orientation {
  return orientation === 6 ? 8 : orientation === 8 ? 6 : orientation;
}

/** Returns the orientation of a clockwise rotation by 0, 90, 180 or 270 degrees, followed by mirroring if `isFlipped`. */
export function orientationOfTurn(degrees: number, isFlipped: boolean): Orientation {
  const plain = { 0: 1, 90: 6, 180: 3, 270: 8 } as const;
  const flipped = { 0: 2, 90: 5, 180: 4, 270: 7 } as const;
  return (isFlipped ? flipped : plain)[degrees as keyof typeof plain] ?? 1;
}

/** Applies an orientation to RGB8 `[h, w, 3]`; the result is `[w, h, 3]` for 5 to 8. Returns `picture` itself for 1. */
export function applyOrientation(picture: Pixels, orientation: Orientation): Pixels {
  if (orientation === 1) return picture;
  const { width, height, data } = picture;
  const swapped = orientation >= 5;
  const target = {
    width: swapped ? height : width,
    height: swapped ? width : height,
    data: new Uint8Array(data.length),
  };
  // Source index of target pixel (0, 0), and the source strides of one step right and one step down in the target.
  const right = width - 1;
  const bottom = (height - 1) * width;
  const walks: Record<Exclude<Orientation, 1>, [origin: number, stepX: number, stepY: number]> = {
    2: [right, -1, width],
    3: [right + bottom, -1, -width],
    4: [bottom, 1, -width],
    5: [0, width, 1],
    6: [bottom, -width, 1],
    7: [right + bottom, -width, -1],
    8: [right, width, -1],
  };
  const [origin, stepX, stepY] = walks[orientation];
  let write = 0;
  for (let y = 0; y < target.height; y++) {
    let read = (origin + y * stepY) * 3;
    for (let x = 0; x < target.width; x++, read += stepX * 3, write += 3) {
      target.data[write] = data[read]!;
      target.data[write + 1] = data[read + 1]!;
      target.data[write + 2] = data[read + 2]!;
    }
  }
  return target;
}
