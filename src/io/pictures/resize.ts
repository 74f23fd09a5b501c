/**
 * Bicubic resampling of RGB8 pictures, bit-identical to Pillow's `Image.resize`: fixed-point convolution in two passes as in Pillow's
 * `src/libImaging/Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`, `clip8`).
 *
 * The model was trained on pictures that were resized this way, and differences of one grey level can change long answers.
 * Source: specification 3.4; Pillow 13 for the order of the two passes. Keys, "Cubic convolution interpolation for digital image
 * processing" (1981).
 */
import { MediaError } from "../../base/errors.js";

/** Row-major RGB8, 3 bytes per pixel: `data.length === width * height * 3`. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

/** Fractional bits of a weight (`PRECISION_BITS` of Resample.c), chosen so that the sums fit into 32 bits. */
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/** The weights of one axis: output `o` is the sum of `weights[o * stride + i] * source[starts[o] + i]`. */
export interface AxisWeights {
  /** First source index of each output. */
  starts: Int32Array;
  /** Number of taps of each output. */
  counts: Int32Array;
  /** Fixed-point weights, `stride` apart. */
  weights: Int32Array;
  stride: number;
}

/** Keys' cubic convolution kernel with a = -0.5, in Pillow's order of operations (`bicubic_filter`). */
function cubic(x: number): number {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

/**
 * Returns the fixed-point weights that resize an axis from `sourceSize` to `targetSize` pixels (both at least 1). The kernel is widened
 * when shrinking (anti-aliasing), as in Pillow.
 */
export function bicubicWeights(sourceSize: number, targetSize: number): AxisWeights {
  const scale = sourceSize / targetSize;
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(targetSize);
  const counts = new Int32Array(targetSize);
  const weights = new Int32Array(targetSize * stride);
  const exact = new Float64Array(stride);
  for (let o = 0; o < targetSize; o++) {
    const center = (o + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(sourceSize, Math.trunc(center + support + 0.5));
    let sum = 0;
    for (let i = 0; i < end - start; i++) {
      // Multiply by the reciprocal, as Pillow does: a division would round differently for some sizes.
      const w = cubic((i + start - center + 0.5) * (1 / filterScale));
      exact[i] = w;
      sum += w;
    }
    for (let i = 0; i < end - start; i++) {
      const w = sum === 0 ? exact[i]! : exact[i]! / sum;
      weights[o * stride + i] = Math.trunc(w * (1 << PRECISION_BITS) + (w < 0 ? -0.5 : 0.5));
    }
    starts[o] = start;
    counts[o] = end - start;
  }
  return { starts, counts, weights, stride };
}

/** Resizes along x: `[height, sourceWidth, 3]` to `[height, targetWidth, 3]`. */
function resizeRows(source: Uint8Array, sourceWidth: number, height: number, targetWidth: number): Uint8Array {
  const { starts, counts, weights, stride } = bicubicWeights(sourceWidth, targetWidth);
  // Uint8ClampedArray clamps like Pillow's clip8; the sums are integers, so it does not round.
  const target = new Uint8ClampedArray(targetWidth * height * 3);
  // Two rows at a time, so that each weight is loaded once for both; an odd last row is computed twice.
  for (let y = 0; y < height; y += 2) {
    const second = Math.min(y + 1, height - 1) - y;
    const step = second * sourceWidth * 3;
    let write = y * targetWidth * 3;
    const below = second * targetWidth * 3;
    for (let o = 0; o < targetWidth; o++) {
      let read = (y * sourceWidth + starts[o]!) * 3;
      let [r, g, b, r2, g2, b2] = [HALF, HALF, HALF, HALF, HALF, HALF];
      const first = o * stride;
      const last = first + counts[o]!;
      for (let i = first; i < last; i++) {
        const w = weights[i]!;
        r = (r + Math.imul(w, source[read]!)) | 0;
        g = (g + Math.imul(w, source[read + 1]!)) | 0;
        b = (b + Math.imul(w, source[read + 2]!)) | 0;
        r2 = (r2 + Math.imul(w, source[read + step]!)) | 0;
        g2 = (g2 + Math.imul(w, source[read + step + 1]!)) | 0;
        b2 = (b2 + Math.imul(w, source[read + step + 2]!)) | 0;
        read += 3;
      }
      target[write] = r >> PRECISION_BITS;
      target[write + 1] = g >> PRECISION_BITS;
      target[write + 2] = b >> PRECISION_BITS;
      target[write + below] = r2 >> PRECISION_BITS;
      target[write + below + 1] = g2 >> PRECISION_BITS;
      target[write + below + 2] = b2 >> PRECISION_BITS;
      write += 3;
    }
  }
  return new Uint8Array(target.buffer);
}

/** Resizes along y: `[sourceHeight, width, 3]` to `[targetHeight, width, 3]`. */
function resizeColumns(source: Uint8Array, width: number, sourceHeight: number, targetHeight: number): Uint8Array {
  const { starts, counts, weights, stride } = bicubicWeights(sourceHeight, targetHeight);
  const rowBytes = width * 3;
  const target = new Uint8ClampedArray(rowBytes * targetHeight);
  // Accumulate whole rows, four taps at a time, for sequential memory access.
  const sums = new Int32Array(rowBytes);
  for (let o = 0; o < targetHeight; o++) {
    sums.fill(HALF);
    const first = o * stride;
    const count = counts[o]!;
    let read = starts[o]! * rowBytes;
    let i = 0;
    for (; i + 3 < count; i += 4, read += 4 * rowBytes) {
      const w0 = weights[first + i]!;
      const w1 = weights[first + i + 1]!;
      const w2 = weights[first + i + 2]!;
      const w3 = weights[first + i + 3]!;
      const second = read + rowBytes;
      const third = second + rowBytes;
      const fourth = third + rowBytes;
      for (let x = 0; x < rowBytes; x++) {
        const upper = (Math.imul(w0, source[read + x]!) + Math.imul(w1, source[second + x]!)) | 0;
        const lower = (Math.imul(w2, source[third + x]!) + Math.imul(w3, source[fourth + x]!)) | 0;
        sums[x] = (((sums[x]! + upper) | 0) + lower) | 0;
      }
    }
    for (; i < count; i++, read += rowBytes) {
      const w = weights[first + i]!;
      for (let x = 0; x < rowBytes; x++) sums[x] = (sums[x]! + Math.imul(w, source[read + x]!)) | 0;
    }
    const write = o * rowBytes;
    for (let x = 0; x < rowBytes; x++) target[write + x] = sums[x]! >> PRECISION_BITS;
  }
  return new Uint8Array(target.buffer);
}

function checkSize(what: string, width: number, height: number): void {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new MediaError({
      where: what,
      expected: "a width and a height of at least one pixel",
      got: `${width}×${height}`,
      remedy: "give a picture that is not empty",
    });
  }
}

/**
 * Returns whether the vertical pass comes first: in Pillow 13 if the height shrinks by more than twice as many pixels as the width. Up
 * to Pillow 12 the horizontal pass always came first. The order affects the result, since pixels are rounded and clamped in between.
 */
function verticalFirst(picture: Pixels, width: number, height: number): boolean {
  const lost = picture.height - height;
  return lost > 0 && lost > 2 * (picture.width - width);
}

/**
 * Resizes RGB8 `[h, w, 3]` to `[height, width, 3]` in two passes, rounded to 8 bits in between; an axis of unchanged size is skipped.
 * `data` is a new array, or the same one if both sizes are unchanged. Throws MediaError for empty sizes. Source: specification 3.4.
 */
export function resizeBicubic(picture: Pixels, width: number, height: number): Pixels {
  checkSize("resize source", picture.width, picture.height);
  checkSize("resize target", width, height);
  let data = picture.data;
  if (verticalFirst(picture, width, height)) {
    data = resizeColumns(data, picture.width, picture.height, height);
    if (width !== picture.width) data = resizeRows(data, picture.width, height, width);
    return { width, height, data };
  }
  if (width !== picture.width) data = resizeRows(data, picture.width, picture.height, width);
  if (height !== picture.height) data = resizeColumns(data, width, picture.height, height);
  return { width, height, data };
}

/**
 * Centres the picture on a square of side `max(width, height)` and grey level `fill` (127 = trunc(255 · 0.5) for this model family). If
 * the border is odd, the additional pixel is on the right or below. Source: specification 3.6.
 */
export function padToSquare(picture: Pixels, fill: number): Pixels {
  const side = Math.max(picture.width, picture.height);
  if (picture.width === picture.height) return picture;
  const offsetX = Math.floor((side - picture.width) / 2);
  const offsetY = Math.floor((side - picture.height) / 2);
  const data = new Uint8Array(side * side * 3).fill(fill);
  const rowBytes = picture.width * 3;
  for (let y = 0; y < picture.height; y++) {
    data.set(picture.data.subarray(y * rowBytes, (y + 1) * rowBytes), ((y + offsetY) * side + offsetX) * 3);
  }
  return { width: side, height: side, data };
}
