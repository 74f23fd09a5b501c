/**
 * Plans the packing of features to visual tokens, in integer arithmetic and before the GPU runs.
 *
 * Vision tower and projector produce `cells`² features per tile, as rows of one matrix `[tiles · cells², D]`. A medium's visual
 * tokens are those rows, bilinear blends of four of them, and the newline vector. The GPU executes at most one
 * {@link ResampleStep} and then the {@link CopyRun}s. Unpadding and newlines follow LLaVA-NeXT (`unpad_image` in `llava_arch.py`), the cap
 * on tokens and the pooling of video frames LLaVA-OneVision (arXiv 2408.03326, section 3.2; `pack_image_features` of transformers).
 * Source: specification 4.3 (anyres picture), 4.5 (several pictures), 4.6 (video).
 */

import { MediaError } from "../../base/errors.js";
import type { AnyresPlan } from "../../io/picture-input.js";

/** Rows and columns of feature cells. */
export type CellSize = readonly [rows: number, columns: number];

/** The layout of one anyres picture. */
export interface ImagePacking {
  /** Visual tokens M: the base tile, then each final row with its newline. */
  tokens: number;
  /** Cells of the canvas that lie on the picture. */
  kept: CellSize;
  /** Cells cut off above and left of `kept`. */
  cropTop: number;
  cropLeft: number;
  /** Cells after the cap. */
  final: CellSize;
  /** True if `final` comes from `kept` by bilinear resampling. */
  resampled: boolean;
}

/** Four feature rows per blended row: `(1-ly)·((1-lx)·s0 + lx·s1) + ly·((1-lx)·s2 + lx·s3)`. */
export interface ResampleStep {
  /** Number R of blended rows. */
  rows: number;
  /** Feature rows `[R, 4]`: upper left, upper right, lower left, lower right. */
  sources: Uint32Array;
  /** `[R, 2]`: ly, lx. */
  weights: Float32Array;
}

/** Copies `count` consecutive rows to `targetRow` of the packed sequence; the newline vector is row 0 of "newline". */
export interface CopyRun {
  from: "features" | "resampled" | "newline";
  sourceRow: number;
  targetRow: number;
  count: number;
}

/** The GPU work of one medium: features `[featureRows, D]` to visual tokens `[tokens, D]`. */
export interface PackingPlan {
  tokens: number;
  featureRows: number;
  resample: ResampleStep | undefined;
  /** In order of `targetRow`; together they fill every row exactly once. */
  copies: CopyRun[];
}

/** Python's `int(round(value, 7))`, for the values that occur here. */
function roundedInteger(value: number): number {
  const nearest = Math.round(value);
  return Math.abs(value - nearest) < 5e-8 ? nearest : Math.trunc(value);
}

/**
 * Python's `x // y` for positive floats. It is computed from the remainder and differs from `floor(x / y)` where the quotient rounds
 * up to an integer, which occurs in the reference.
 */
export function pythonFloorDivide(x: number, y: number): number {
  const quotient = (x - (x % y)) / y;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

/** Returns the cells that remain of `rows`×`columns` under the cap of `maxTiles` tiles of `cells`² each. */
export function capCells(rows: number, columns: number, cells: number, maxTiles: number): CellSize {
  const ratio = Math.sqrt((rows * columns) / (maxTiles * cells * cells));
  // The reference tolerates ten per cent: the cap is a threshold on the ratio, not an upper bound.
  if (!(ratio > 1.1)) return [rows, columns];
  return [pythonFloorDivide(rows, ratio), pythonFloorDivide(columns, ratio)];
}

/**
 * Layout of one anyres picture of `width`×`height` source pixels.
 * `cells` is the number of feature cells along a tile's side, `maxTiles` the 9 of "anyres_max_9".
 */
export function planImage(
  width: number,
  height: number,
  plan: Pick<AnyresPlan, "columns" | "rows">,
  cells: number,
  maxTiles: number,
): ImagePacking {
  const canvasRows = plan.rows * cells;
  const canvasColumns = plan.columns * cells;
  let cropTop = 0;
  let cropLeft = 0;
  if (width / height > canvasColumns / canvasRows) {
    const rows = roundedInteger(height * (canvasColumns / width));
    cropTop = Math.floor((canvasRows - rows) / 2);
  } else {
    const columns = roundedInteger(width * (canvasRows / height));
    cropLeft = Math.floor((canvasColumns - columns) / 2);
  }
  const kept: CellSize = [canvasRows - 2 * cropTop, canvasColumns - 2 * cropLeft];
  const final = capCells(kept[0], kept[1], cells, maxTiles);
  if (final[0] < 1 || final[1] < 1) {
    throw new MediaError({
      where: `picture of ${width}×${height}`,
      expected: "at least one row and one column of feature cells",
      got: `${final[0]}×${final[1]}`,
      remedy: "crop the picture to a less extreme shape",
    });
  }
  return {
    tokens: cells * cells + final[0] * (final[1] + 1),
    kept,
    cropTop,
    cropLeft,
    final,
    resampled: final[0] !== kept[0] || final[1] !== kept[1],
  };
}

/** Visual tokens of one picture in pad mode: its tile and one newline. */
export function padImageTokens(cells: number): number {
  return cells * cells + 1;
}

/** Side of the pooled grid of one video frame, in cells. */
export function pooledCells(cells: number): number {
  return Math.ceil(cells / 2);
}

/** Visual tokens of a video: each frame pooled to ⌈cells/2⌉², one newline after the last frame. */
export function videoTokens(frames: number, cells: number): number {
  return frames * pooledCells(cells) ** 2 + 1;
}

/** One axis of bilinear resampling: `(1 - weight)·in[low] + weight·in[high]`. */
interface BilinearAxis {
  low: Int32Array;
  high: Int32Array;
  weight: Float32Array;
}

/** PyTorch's `interpolate(mode="bilinear", align_corners=False)` without antialias, in float32 as there. */
function bilinearAxis(sourceSize: number, targetSize: number): BilinearAxis {
  const low = new Int32Array(targetSize);
  const high = new Int32Array(targetSize);
  const weight = new Float32Array(targetSize);
  const scale = Math.fround(sourceSize / targetSize);
  for (let o = 0; o < targetSize; o++) {
    const position = Math.max(0, Math.fround(Math.fround(scale * (o + 0.5)) - 0.5));
    const index = Math.min(Math.floor(position), sourceSize - 1);
    low[o] = index;
    high[o] = Math.min(index + 1, sourceSize - 1);
    weight[o] = Math.min(Math.max(Math.fround(position - index), 0), 1);
  }
  return { low, high, weight };
}

/** Fills `step` from output row `at` on with a `rows`×`columns` grid resampled to the axes' sizes. */
function fillResample(
  step: ResampleStep,
  at: number,
  vertical: BilinearAxis,
  horizontal: BilinearAxis,
  rowOf: (y: number, x: number) => number,
): void {
  let row = at;
  for (let y = 0; y < vertical.low.length; y++) {
    const top = vertical.low[y]!;
    const bottom = vertical.high[y]!;
    for (let x = 0; x < horizontal.low.length; x++, row++) {
      const left = horizontal.low[x]!;
      const right = horizontal.high[x]!;
      step.sources[row * 4] = rowOf(top, left);
      step.sources[row * 4 + 1] = rowOf(top, right);
      step.sources[row * 4 + 2] = rowOf(bottom, left);
      step.sources[row * 4 + 3] = rowOf(bottom, right);
      step.weights[row * 2] = vertical.weight[y]!;
      step.weights[row * 2 + 1] = horizontal.weight[x]!;
    }
  }
}

function emptyResample(rows: number): ResampleStep {
  return { rows, sources: new Uint32Array(rows * 4), weights: new Float32Array(rows * 2) };
}

/**
 * Row plan of one anyres picture. Features are `[(1 + rows·columns) · cells², D]`, base tile first, then the tiles of
 * the canvas row by row; stitching the tiles together is folded into the source rows.
 */
export function packImage(
  packing: ImagePacking,
  plan: Pick<AnyresPlan, "columns" | "rows">,
  cells: number,
): PackingPlan {
  const tileRows = cells * cells;
  const rowOf = (y: number, x: number): number => {
    const cellY = y + packing.cropTop;
    const cellX = x + packing.cropLeft;
    const tile = 1 + Math.floor(cellY / cells) * plan.columns + Math.floor(cellX / cells);
    return tile * tileRows + (cellY % cells) * cells + (cellX % cells);
  };
  const [rows, columns] = packing.final;
  const copies: CopyRun[] = [{ from: "features", sourceRow: 0, targetRow: 0, count: tileRows }];
  let resample: ResampleStep | undefined;
  if (packing.resampled) {
    resample = emptyResample(rows * columns);
    fillResample(resample, 0, bilinearAxis(packing.kept[0], rows), bilinearAxis(packing.kept[1], columns), rowOf);
  }
  let targetRow = tileRows;
  for (let y = 0; y < rows; y++) {
    if (resample) {
      copies.push({ from: "resampled", sourceRow: y * columns, targetRow, count: columns });
      targetRow += columns;
    } else {
      // One run for each tile the row passes through.
      for (let x = 0; x < columns; ) {
        const count = Math.min(columns - x, cells - ((x + packing.cropLeft) % cells));
        copies.push({ from: "features", sourceRow: rowOf(y, x), targetRow, count });
        targetRow += count;
        x += count;
      }
    }
    copies.push({ from: "newline", sourceRow: 0, targetRow, count: 1 });
    targetRow += 1;
  }
  return { tokens: targetRow, featureRows: (1 + plan.rows * plan.columns) * tileRows, resample, copies };
}

/** Row plan of one picture in pad mode: features `[cells², D]` unchanged, then the newline. */
export function packPadImage(cells: number): PackingPlan {
  const tileRows = cells * cells;
  return {
    tokens: padImageTokens(cells),
    featureRows: tileRows,
    resample: undefined,
    copies: [
      { from: "features", sourceRow: 0, targetRow: 0, count: tileRows },
      { from: "newline", sourceRow: 0, targetRow: tileRows, count: 1 },
    ],
  };
}

/**
 * Row plan of a video or a segment of its frames: features `[frames · cells², D]` in time order, each frame pooled bilinearly
 * to ⌈cells/2⌉² rows, and one newline after the last frame of the video (`ends`). Throws MediaError without a frame.
 */
export function packVideo(frames: number, cells: number, ends = true): PackingPlan {
  if (!Number.isInteger(frames) || frames < 1) {
    throw new MediaError({
      where: "video",
      expected: "at least one frame",
      got: `${frames}`,
      remedy: "give a clip with a picture in it, or ask for at least one frame",
    });
  }
  const side = pooledCells(cells);
  const axis = bilinearAxis(cells, side);
  const rows = frames * side * side;
  const resample = emptyResample(rows);
  for (let frame = 0; frame < frames; frame++) {
    const base = frame * cells * cells;
    fillResample(resample, frame * side * side, axis, axis, (y, x) => base + y * cells + x);
  }
  return {
    tokens: ends ? rows + 1 : rows,
    featureRows: frames * cells * cells,
    resample,
    copies: [
      { from: "resampled", sourceRow: 0, targetRow: 0, count: rows },
      ...(ends ? [{ from: "newline" as const, sourceRow: 0, targetRow: rows, count: 1 }] : []),
    ],
  };
}
