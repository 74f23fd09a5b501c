import { declareTunables, type Tunable } from "../runtime/tuning.js";

/**
 * The kernel parameters that `ocellus tune` measures, and one that it does not. Every value is correct on every adapter; the fastest one
 * differs.
 */

/**
 * Split-k of `matvec`: slices of the inner dimension, of 8 lanes each; every adapter has 256 lanes per workgroup. "auto" depends on
 * the number of columns.
 */
export const MATVEC_SLICES: Tunable<"auto" | 8 | 16 | 32> = {
  name: "matvec.slices",
  values: ["auto", 8, 16, 32],
  classes: ["narrow", "middle", "wide"],
};

/** Blocks of four columns per lane in `matvecBroadcast` and `matvecQuantized`; "auto" depends on the subgroup size. */
export const MATVEC_BLOCKS: Tunable<"auto" | 1 | 2> = { name: "matvec.blocks", values: ["auto", 1, 2] };

/**
 * How GPUs with subgroup matrices multiply many rows: with these, in tiles of 64 rows and columns or, where factors are in f16, of 128, or
 * without them.
 */
export const MATMUL_UNITS: Tunable<"matrices" | "large matrices" | "tiles"> = {
  name: "matmul.units",
  values: ["matrices", "large matrices", "tiles"],
};

/** The tile of `matmulTile`; "auto" depends on the shape. */
export const MATMUL_TILE: Tunable<"auto" | "middle" | "large"> = {
  name: "matmul.tile",
  values: ["auto", "middle", "large"],
  classes: ["narrow", "middle", "wide"],
};

/**
 * The type of activations in products of more than a few rows on GPUs with weights in 8 or 4 bits: "q8" is less exact, so
 * OCELLUS_TUNING may choose it but `ocellus tune` does not. Without effect where WGSL has no packed dot products.
 */
export const MATMUL_ACTIVATIONS: Tunable<"f32" | "q8"> = { name: "matmul.activations", values: ["f32", "q8"] };

/** Keys per KV split of `attentionStep` on GPUs. */
export const KV_SPLIT_KEYS: Tunable<number> = {
  name: "attention.kvSplitKeys",
  values: [128, 64, 256, 512],
  classes: ["short", "long"],
};

/** Lanes per row of a norm; "auto" depends on the number of rows. */
export const NORM_LANES: Tunable<"auto" | 32 | 64 | 128 | 256> = {
  name: "norm.lanes",
  values: ["auto", 32, 64, 128, 256],
  classes: ["few", "many"],
};

/** All of them. */
export const TUNABLES = [
  MATVEC_SLICES,
  MATVEC_BLOCKS,
  MATMUL_UNITS,
  MATMUL_TILE,
  MATMUL_ACTIVATIONS,
  KV_SPLIT_KEYS,
  NORM_LANES,
];
declareTunables(TUNABLES);

/** Below this many columns a matrix is narrow, and many lanes share a column so that a large GPU is busy; from the other on, few do. */
const NARROW_COLUMNS = 4096;
const WIDE_COLUMNS = 32768;

/** The class of a matrix by its columns. */
export function widthClass(columns: number): "narrow" | "middle" | "wide" {
  return columns < NARROW_COLUMNS ? "narrow" : columns < WIDE_COLUMNS ? "middle" : "wide";
}

/** Rows that occupy a large GPU with few lanes each; of fewer, each has many. */
const MANY_ROWS = 256;

/** The class of a norm by its rows. */
export function rowsClass(rows: number): "few" | "many" {
  return rows < MANY_ROWS ? "few" : "many";
}

/** Keys from which on a cache is long. */
const LONG_KEYS = 4096;

/** The class of a cache by its keys. */
export function keysClass(keys: number): "short" | "long" {
  return keys < LONG_KEYS ? "short" : "long";
}
