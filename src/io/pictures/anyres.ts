/**
 * AnyRes: divides a picture of any size into square tiles for the vision tower (LLaVA-NeXT, Liu et al. 2024; `anyres_max_9` of
 * LLaVA-OneVision, arXiv 2408.03326, section 3.2). Follows `select_best_resolution` and `process_anyres_image` of LLaVA's
 * `mm_utils.py`, and `image_processing_llava_onevision.py` of transformers.
 *
 * The geometry depends on the tile side and the checkpoint's list of canvas sizes. It is computed in float64, as in the reference.
 * Source: specification 3.2, 3.3, 3.6 and 3.7.
 */
import { CheckpointError, MediaError } from "../../base/errors.js";
import { type Pixels, padToSquare, resizeBicubic } from "./resize.js";

/** A canvas as `[width, height]` in pixels. */
export type CanvasSize = readonly [width: number, height: number];

/** The tile grid of a picture: it is resized, placed on a black canvas at the offset, and the canvas is divided into tiles. */
export interface AnyresPlan {
  /** Tiles across. */
  columns: number;
  /** Tiles down. */
  rows: number;
  /** Size of the picture on the canvas, in pixels. */
  resizedWidth: number;
  resizedHeight: number;
  /** Black border left and above, in pixels. */
  offsetX: number;
  offsetY: number;
}

/** Turns `image_grid_pinpoints` of a checkpoint, which are `[height, width]`, into canvas sizes in the same order. */
export function canvasSizes(pinpoints: readonly (readonly number[])[]): CanvasSize[] {
  return pinpoints.map((pair) => {
    const [height, width] = pair;
    if (pair.length !== 2 || !height || !width || height < 1 || width < 1) {
      throw new CheckpointError({
        where: "image_grid_pinpoints",
        expected: "pairs of [height, width] in pixels",
        got: JSON.stringify(pair),
        remedy: "check config.json and preprocessor_config.json of the checkpoint",
      });
    }
    return [width, height];
  });
}

function checkPicture(width: number, height: number): void {
  if (Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0) return;
  throw new MediaError({
    where: "picture",
    expected: "a whole number of pixels, at least 1×1",
    got: `${width}×${height}`,
    remedy: "give a picture that is not empty",
  });
}

/**
 * Selects the canvas with the highest effective resolution, then the least wasted area, then the first in the list. Throws
 * CheckpointError if the list is empty.
 */
export function selectGrid(width: number, height: number, grids: readonly CanvasSize[]): CanvasSize {
  checkPicture(width, height);
  let best: CanvasSize | undefined;
  let mostKept = 0;
  let leastWaste = Number.POSITIVE_INFINITY;
  for (const grid of grids) {
    const [gridWidth, gridHeight] = grid;
    const scale = Math.min(gridWidth / width, gridHeight / height);
    const kept = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
    const waste = gridWidth * gridHeight - kept;
    if (kept > mostKept || (kept === mostKept && waste < leastWaste)) {
      best = grid;
      mostKept = kept;
      leastWaste = waste;
    }
  }
  if (!best) {
    throw new CheckpointError({
      where: "image_grid_pinpoints",
      expected: "at least one canvas size",
      got: "an empty list",
      remedy: "check config.json of the checkpoint",
    });
  }
  return best;
}

/**
 * Returns the tile grid chosen for a `width`×`height` picture, which is centred on its canvas with preserved aspect ratio.
 * `grids` are canvas sizes in pixels, multiples of `tileSide`. Throws CheckpointError if they are not.
 */
export function planAnyres(width: number, height: number, grids: readonly CanvasSize[], tileSide: number): AnyresPlan {
  const [canvasWidth, canvasHeight] = selectGrid(width, height, grids);
  if (canvasWidth % tileSide !== 0 || canvasHeight % tileSide !== 0) {
    throw new CheckpointError({
      where: "image_grid_pinpoints",
      expected: `multiples of the tile side ${tileSide}`,
      got: `${canvasWidth}×${canvasHeight}`,
      remedy: "check that config.json and preprocessor_config.json belong to the same checkpoint",
    });
  }
  const scaleX = canvasWidth / width;
  const scaleY = canvasHeight / height;
  let resizedWidth = canvasWidth;
  let resizedHeight = canvasHeight;
  if (scaleX < scaleY) resizedHeight = Math.min(Math.ceil(height * scaleX), canvasHeight);
  else resizedWidth = Math.min(Math.ceil(width * scaleY), canvasWidth);
  return {
    columns: canvasWidth / tileSide,
    rows: canvasHeight / tileSide,
    resizedWidth,
    resizedHeight,
    offsetX: Math.floor((canvasWidth - resizedWidth) / 2),
    offsetY: Math.floor((canvasHeight - resizedHeight) / 2),
  };
}

/**
 * Cuts a picture into its tiles, RGB8 `[1 + rows·columns, tileSide, tileSide, 3]`: first the base (the whole picture resized to one tile,
 * aspect ratio not preserved), then the tiles of the canvas in row-major order. The border is black (0, 0, 0), which normalisation maps
 * to −1.
 */
export function cutTiles(picture: Pixels, plan: AnyresPlan, tileSide: number): Uint8Array {
  checkPicture(picture.width, picture.height);
  const tileBytes = tileSide * tileSide * 3;
  const tiles = new Uint8Array((1 + plan.rows * plan.columns) * tileBytes);
  tiles.set(resizeBicubic(picture, tileSide, tileSide).data);
  const resized = resizeBicubic(picture, plan.resizedWidth, plan.resizedHeight);
  const left = plan.offsetX;
  const right = left + resized.width;
  for (let y = 0; y < resized.height; y++) {
    const canvasY = y + plan.offsetY;
    const tileRow = Math.floor(canvasY / tileSide);
    const yInTile = canvasY - tileRow * tileSide;
    for (let column = 0; column < plan.columns; column++) {
      const x0 = Math.max(left, column * tileSide);
      const x1 = Math.min(right, (column + 1) * tileSide);
      if (x0 >= x1) continue;
      const from = (y * resized.width + x0 - left) * 3;
      const tile = 1 + tileRow * plan.columns + column;
      tiles.set(
        resized.data.subarray(from, from + (x1 - x0) * 3),
        tile * tileBytes + (yInTile * tileSide + x0 - column * tileSide) * 3,
      );
    }
  }
  return tiles;
}

/**
 * Pad mode: pads a picture to a square with the grey level `fill` and resizes it to one tile, RGB8 `[tileSide, tileSide, 3]`.
 * Source: specification 3.6.
 */
export function padTile(picture: Pixels, tileSide: number, fill: number): Uint8Array {
  checkPicture(picture.width, picture.height);
  const tile = resizeBicubic(padToSquare(picture, fill), tileSide, tileSide).data;
  // A picture of tile size is copied unchanged.
  return tile === picture.data ? new Uint8Array(tile) : tile;
}

/** Resizes a video frame to one tile, RGB8 `[tileSide, tileSide, 3]`; the aspect ratio is not preserved. Source: specification 3.7. */
export function frameTile(picture: Pixels, tileSide: number): Uint8Array {
  checkPicture(picture.width, picture.height);
  const tile = resizeBicubic(picture, tileSide, tileSide).data;
  return tile === picture.data ? new Uint8Array(tile) : tile;
}
