/** Picture preprocessing config: grids, tile cap, pixel normalisation. */

import { JsonFields, type JsonValue } from "../../io/text.js";

/** Sides are in pixels. */
export interface PictureConfig {
  /** `[width, height]` of the canvases a picture may be cut into, multiples of the tile side, in the order they are tried. */
  readonly grids: readonly (readonly [width: number, height: number])[];
  /** Features of a picture are downsampled to at most about this many tiles: the 9 of `anyres_max_9`. */
  readonly maxTiles: number;
  /** A video frame's features are resized to `cells * cells`, cells = ceil(tile cells / stride). */
  readonly pooling: { readonly mode: "bilinear"; readonly stride: number; readonly cells: number };
  /** Normalisation per channel: (byte * rescaleFactor - mean) / std. */
  readonly imageMean: readonly [number, number, number];
  readonly imageStd: readonly [number, number, number];
  readonly rescaleFactor: number;
}

const PREPROCESSOR = "preprocessor_config.json";
const PROCESSOR = "processor_config.json";
const GRIDS = "image_grid_pinpoints";
const MISMATCH = "the two files are of different checkpoints; download both again";
const UNSUPPORTED = "this preprocessing is not supported";
/** Not configurable: the family pools frames by 2 (specification 4.6). */
const POOLING_STRIDE = 2;

/** Sizes of a tile. */
interface Tile {
  readonly tileSide: number;
  readonly cells: number;
}

/**
 * Reads grids and normalisation from config.json (`top`) and the processor files, which must not contradict each other.
 * @throws CheckpointError naming file and field.
 */
export function readPictures(
  top: JsonFields,
  tile: Tile,
  preprocessor: JsonValue | undefined,
  processor: JsonValue | undefined,
): PictureConfig {
  const wrapped = processor === undefined ? undefined : new JsonFields(processor, PROCESSOR);
  const images = imageProcessor(preprocessor, wrapped);
  const aspect =
    top.has("model_type") && top.get("model_type") !== "llava_onevision" ? "image_aspect_ratio" : "vision_aspect_ratio";
  const maxTiles = readMaxTiles(top, aspect);
  if (wrapped?.has("vision_aspect_ratio") && readMaxTiles(wrapped, "vision_aspect_ratio") !== maxTiles) {
    throw wrapped.fault("vision_aspect_ratio", `anyres_max_${maxTiles} as in config.json`, MISMATCH);
  }
  const cells = Math.ceil(tile.cells / POOLING_STRIDE);
  return {
    grids: agreedGrids(top, images, tile.tileSide),
    maxTiles,
    pooling: { mode: "bilinear", stride: POOLING_STRIDE, cells },
    ...readNormalisation(images, tile.tileSide),
  };
}

/**
 * Returns the tile side of a flat config: the smallest grid entry, else from the preprocessor or the tower's name.
 * @throws CheckpointError if none of them does.
 */
export function flatTileSide(top: JsonFields, preprocessor: JsonValue | undefined): number {
  const grids = top.get(GRIDS);
  if (Array.isArray(grids)) return Math.min(...listedGrids(top, grids).flat());
  const images = imageProcessor(preprocessor, undefined);
  const height = images?.object("size")?.get("height");
  if (typeof height === "number") return height;
  const named = /-(\d+)$/.exec(top.text("mm_vision_tower"))?.[1];
  if (named !== undefined) return Number(named);
  throw top.fault(GRIDS, "a list of [width, height], which gives the tile side");
}

/** transformers 5 saves the image processor inside processor_config.json, earlier versions in a file of its own. */
function imageProcessor(
  preprocessor: JsonValue | undefined,
  processor: JsonFields | undefined,
): JsonFields | undefined {
  if (preprocessor !== undefined) return new JsonFields(preprocessor, PREPROCESSOR);
  return processor?.object("image_processor");
}

function readMaxTiles(fields: JsonFields, name: string): number {
  const tiles = /^anyres_max_([1-9]\d*)$/.exec(fields.text(name, "anyres_max_9"))?.[1];
  if (tiles === undefined) throw fields.fault(name, '"anyres_max_N"', UNSUPPORTED);
  return Number(tiles);
}

function agreedGrids(top: JsonFields, images: JsonFields | undefined, tileSide: number): PictureConfig["grids"] {
  const ofModel = readGrids(top, tileSide);
  const ofProcessor = images && readGrids(images, tileSide);
  // The processor tiles by one list and the model packs by the other, so they must be equal.
  if (images && ofModel && ofProcessor && JSON.stringify(ofModel) !== JSON.stringify(ofProcessor)) {
    throw images.fault(GRIDS, "the list of config.json", MISMATCH);
  }
  const grids = ofModel ?? ofProcessor;
  if (grids) return grids;
  // The default of transformers is in pixels of the published tile.
  if (tileSide === 384) return asWidthHeight(top, allGrids(1, 1, 6, 6, tileSide));
  throw top.fault(GRIDS, "a list of pairs of sides");
}

function readGrids(fields: JsonFields, tileSide: number): PictureConfig["grids"] | undefined {
  const value = fields.get(GRIDS);
  if (value === undefined) return undefined;
  const grids = typeof value === "string" ? writtenGrids(fields, value, tileSide) : listedGrids(fields, value);
  if (grids.flat().some((side) => side % tileSide !== 0)) {
    throw fields.fault(GRIDS, `sides that are multiples of the tile side ${tileSide}`);
  }
  return asWidthHeight(fields, grids);
}

/** lmms-lab writes [width, height], transformers [height, width]; the order of the list stays. */
function asWidthHeight(fields: JsonFields, grids: [number, number][]): PictureConfig["grids"] {
  return fields.has("mm_vision_tower") ? grids : grids.map(([height, width]) => [width, height]);
}

/** The notation of training configs: "(1x1),...,(6x6)", in tiles. */
function writtenGrids(fields: JsonFields, value: string, tileSide: number): [number, number][] {
  const corners = /^\((\d+)x(\d+)\)\s*,\s*\.\.\.\s*,\s*\((\d+)x(\d+)\)$/.exec(value.trim());
  if (!corners) throw fields.fault(GRIDS, '"(1x1),...,(6x6)" or a list of pairs', UNSUPPORTED);
  const [a = 1, b = 1, c = 1, d = 1] = corners.slice(1).map(Number);
  const grids = allGrids(a, b, c, d, tileSide);
  if (grids.length === 0 || a * b === 0) throw fields.fault(GRIDS, "a range that goes up from 1 or more", UNSUPPORTED);
  return grids;
}

function listedGrids(fields: JsonFields, value: JsonValue): [number, number][] {
  const side = (one: JsonValue | undefined) => typeof one === "number" && Number.isSafeInteger(one) && one > 0;
  const pair = (one: JsonValue) => Array.isArray(one) && one.length === 2 && one.every(side);
  if (Array.isArray(value) && value.length > 0 && value.every(pair)) return value as [number, number][];
  throw fields.fault(GRIDS, "a list of pairs of positive whole numbers");
}

/** Every grid of a to c by b to d tiles, in the order training expands them. */
function allGrids(a: number, b: number, c: number, d: number, tileSide: number): [number, number][] {
  const grids: [number, number][] = [];
  for (let i = a; i <= c; i++) for (let j = b; j <= d; j++) grids.push([i * tileSide, j * tileSide]);
  return grids;
}

type Normalisation = Pick<PictureConfig, "imageMean" | "imageStd" | "rescaleFactor">;

function readNormalisation(images: JsonFields | undefined, tileSide: number): Normalisation {
  // lmms-lab folders may come without a processor file; these are the values of the SigLIP tower.
  if (!images) return { imageMean: [0.5, 0.5, 0.5], imageStd: [0.5, 0.5, 0.5], rescaleFactor: 1 / 255 };
  images.only("do_resize", true);
  images.only("do_rescale", true);
  images.only("do_normalize", true);
  // 3 is bicubic.
  images.only("resample", 3);
  const size = images.object("size");
  size?.only("height", tileSide);
  size?.only("width", tileSide);
  return {
    imageMean: channels(images, "image_mean"),
    imageStd: channels(images, "image_std"),
    rescaleFactor: images.positive("rescale_factor", 1 / 255),
  };
}

/**
 * Three finite numbers. An absent field is an error: the processor classes' own defaults differ (CLIP's for LLaVA-OneVision,
 * 0.5 for SigLIP), and published files state it.
 */
function channels(fields: JsonFields, name: string): [number, number, number] {
  const value = fields.get(name);
  const finite = (one: JsonValue) =>
    typeof one === "number" && Number.isFinite(one) && (name === "image_mean" || one > 0);
  if (Array.isArray(value) && value.length === 3 && value.every(finite)) return value as [number, number, number];
  throw fields.fault(name, name === "image_mean" ? "three numbers" : "three numbers over 0");
}
