/** Maps the attention on visual tokens back to cells of the picture or frame. */

import type { LlavaOneVisionConfig } from "./config.js";
import { planImage, pooledCells } from "./packing.js";
import type { PreparedMedium } from "./processor.js";

/** Attention map of a picture or frame on a grid of equal cells, row-major. The values are fractions of the total attention. */
export interface AttentionMap {
  readonly rows: number;
  readonly columns: number;
  /** `[rows · columns]` */
  readonly values: Float32Array;
  /** Timestamp of the frame in seconds; absent for pictures. */
  readonly seconds?: number;
}

/** A region of a grid, in cells. */
interface Part {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Resamples a grid of `from.rows`×`from.columns` cells to the `rows`×`columns` cells that divide a region of it, weighted by overlap
 * area. Values outside the region are dropped.
 */
export function spread(
  values: ArrayLike<number>,
  from: { readonly rows: number; readonly columns: number },
  part: Part,
  rows: number,
  columns: number,
): Float32Array {
  const spreadOut = new Float32Array(rows * columns);
  const [height, width] = [part.height / rows, part.width / columns];
  for (let y = 0; y < rows; y++) {
    const [top, bottom] = [part.top + y * height, part.top + (y + 1) * height];
    for (let x = 0; x < columns; x++) {
      const [left, right] = [part.left + x * width, part.left + (x + 1) * width];
      let sum = 0;
      for (let i = Math.floor(top); i < Math.min(from.rows, bottom); i++) {
        const common = Math.min(bottom, i + 1) - Math.max(top, i);
        for (let j = Math.floor(left); j < Math.min(from.columns, right); j++) {
          sum += values[i * from.columns + j]! * common * (Math.min(right, j + 1) - Math.max(left, j));
        }
      }
      spreadOut[y * columns + x] = sum;
    }
  }
  return spreadOut;
}

/**
 * Converts the attention weights `[M]` of a medium's visual tokens to maps of the picture or of each frame. A tiled picture is encoded
 * twice, as the base tile and as tiles; both are added. Weights of newline tokens and borders are dropped.
 */
export function attentionMaps(
  medium: Pick<PreparedMedium, "kind" | "view" | "segments">,
  weights: Float32Array,
  config: Pick<LlavaOneVisionConfig, "vision" | "maxTiles">,
): AttentionMap[] {
  const { cells } = config.vision;
  const { width, height, grid, frameSeconds } = medium.view;
  const square = { rows: cells, columns: cells };
  const whole = { top: 0, left: 0, height: cells, width: cells };
  if (medium.kind === "video") {
    const side = pooledCells(cells);
    const frames = medium.segments.reduce((sum, { tileCount }) => sum + tileCount, 0);
    return Array.from({ length: frames }, (_, i) => ({
      rows: side,
      columns: side,
      values: weights.slice(i * side * side, (i + 1) * side * side),
      ...(frameSeconds && { seconds: frameSeconds[i]! }),
    }));
  }
  if (!grid) {
    // The picture is centred in a square of its longer side.
    const longer = Math.max(width, height);
    const part = {
      top: (cells * (longer - height)) / longer / 2,
      left: (cells * (longer - width)) / longer / 2,
      height: (cells * height) / longer,
      width: (cells * width) / longer,
    };
    const [rows, columns] = [Math.max(1, Math.round(part.height)), Math.max(1, Math.round(part.width))];
    return [{ rows, columns, values: spread(weights, square, part, rows, columns) }];
  }
  const [rows, columns] = planImage(width, height, grid, cells, config.maxTiles).final;
  const values = spread(weights, square, whole, rows, columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      values[y * columns + x]! += weights[cells * cells + y * (columns + 1) + x]!;
    }
  }
  return [{ rows, columns, values }];
}
