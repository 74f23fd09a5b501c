import type { Tunable } from "../runtime/tuning.js";

/** The kernel parameters that `ocellus tune` measures. Every value is correct on every adapter; the fastest one differs. */

/**
 * Split-k of `matvec`: slices of the inner dimension, of 8 lanes each; every adapter has 256 lanes per workgroup. "auto" depends on
 * the number of columns.
 */
export const MATVEC_SLICES: Tunable<"auto" | 8 | 16 | 32> = { name: "matvec.slices", values: ["auto", 8, 16, 32] };

/** Blocks of four columns per lane in `matvecBroadcast` and `matvecQuantized`; "auto" depends on the subgroup size. */
export const MATVEC_BLOCKS: Tunable<"auto" | 1 | 2> = { name: "matvec.blocks", values: ["auto", 1, 2] };

/** How GPUs with subgroup matrices multiply many rows. */
export const MATMUL_UNITS: Tunable<"matrices" | "tiles"> = { name: "matmul.units", values: ["matrices", "tiles"] };

/** The tile of `matmulTile`; "auto" depends on the shape. */
export const MATMUL_TILE: Tunable<"auto" | "middle" | "large"> = {
  name: "matmul.tile",
  values: ["auto", "middle", "large"],
};

/** Keys per KV split of `attentionStep` on GPUs. */
export const KV_SPLIT_KEYS: Tunable<number> = { name: "attention.kvSplitKeys", values: [128, 64, 256, 512] };

/** Lanes per row of a norm; "auto" depends on the number of rows. */
export const NORM_LANES: Tunable<"auto" | 32 | 64 | 128 | 256> = {
  name: "norm.lanes",
  values: ["auto", 32, 64, 128, 256],
};
