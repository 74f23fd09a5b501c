import type { Tunable } from "../runtime/tuning.js";

/** The choices that `ocellus tune` measures. Every value is right on every adapter; which is fastest differs. */

/** Parts of the inner length that the lanes of a panel share in `matvec`; 32 lanes each, and 256 is what every adapter has. */
export const MATVEC_SLICES: Tunable<number> = { name: "matvec.slices", values: [8, 4, 2] };

/** Blocks of four columns that a lane owns in the broadcasting products of one row; "auto" goes by the lanes. */
export const MATVEC_BLOCKS: Tunable<"auto" | 1 | 2> = { name: "matvec.blocks", values: ["auto", 1, 2] };

/** How GPUs with subgroup matrices multiply many rows. */
export const MATMUL_UNITS: Tunable<"matrices" | "tiles"> = { name: "matmul.units", values: ["matrices", "tiles"] };

/** The tile of `matmulTile`; "auto" goes by the shape. */
export const MATMUL_TILE: Tunable<"auto" | "middle" | "large"> = {
  name: "matmul.tile",
  values: ["auto", "middle", "large"],
};

/** Keys of a share where one query's keys are shared between workgroups. */
export const KV_SPLIT_KEYS: Tunable<number> = { name: "attention.kvSplitKeys", values: [256, 128, 512, 1024] };

/** Lanes that a row of a norm is shared by. */
export const NORM_LANES: Tunable<number> = { name: "norm.lanes", values: [32, 64, 128, 256] };
