import {
  KV_SPLIT_KEYS,
  MATMUL_TILE,
  MATMUL_UNITS,
  MATVEC_BLOCKS,
  MATVEC_SLICES,
  NORM_LANES,
} from "../kernels/tunables.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import { type Tunable, type Tuning, tuned } from "../runtime/tuning.js";
import { attending, product } from "./kernels.js";
import { meanNorm, rootNorm } from "./row-kernels.js";
import type { BenchType, Workload } from "./workload.js";

/** Model sizes whose shapes are measured. */
export type Size = "0.5b" | "7b";

/** A kernel parameter, and the workloads on which its values are compared. */
export interface TunedChoice {
  readonly tunable: Tunable;
  readonly cases: readonly { readonly workload: Workload; readonly dtype: BenchType }[];
  /** Whether it is relevant given the values chosen before. */
  readonly counts?: (tuning: Readonly<Tuning>) => boolean;
}

interface Widths {
  readonly width: number;
  readonly mlpWidth: number;
  readonly qkv: number;
  readonly heads: { readonly heads: number; readonly keyValueHeads: number; readonly headSize: number };
}

const SIZES: Readonly<Record<Size, Widths>> = {
  "0.5b": { width: 896, mlpWidth: 4864, qkv: 1152, heads: { heads: 14, keyValueHeads: 2, headSize: 64 } },
  "7b": { width: 3584, mlpWidth: 18944, qkv: 4608, heads: { heads: 28, keyValueHeads: 4, headSize: 128 } },
};

/** Names of the model sizes. */
export const SIZE_NAMES = Object.keys(SIZES) as Size[];

/** Returns the parameters that matter on an adapter, dependencies first. */
export function choicesFor(facts: AdapterFacts, size: Size, dtypes: readonly BenchType[]): TunedChoice[] {
  const { width, mlpWidth, qkv, heads } = SIZES[size];
  const held = (workloads: readonly Workload[]) =>
    workloads.flatMap((workload) => dtypes.map((dtype) => ({ workload, dtype })));
  const floats = (workloads: readonly Workload[]) => workloads.map((workload) => ({ workload, dtype: "f32" as const }));
  const oneRow = (): TunedChoice["cases"] =>
    held([
      product("qkv", "", 1, width, qkv),
      product("gate and up", "", 1, width, 2 * mlpWidth),
      product("down", "", 1, mlpWidth, width),
    ]);
  // A tile of a picture, and a prompt.
  const manyRows = (): TunedChoice["cases"] =>
    held([
      product("fc1", "", 729, 1152, 4304),
      product("gate and up", "", 1024, width, 2 * mlpWidth),
      product("down", "", 1024, mlpWidth, width),
    ]);
  const choices: TunedChoice[] = [];
  if (facts.broadcastLanes) choices.push({ tunable: MATVEC_BLOCKS, cases: oneRow() });
  if (!facts.onCPU) {
    choices.push({ tunable: MATVEC_SLICES, cases: oneRow() });
    if (facts.subgroupMatrix) choices.push({ tunable: MATMUL_UNITS, cases: manyRows() });
    const tiled = (tuning: Readonly<Tuning>): boolean =>
      !facts.subgroupMatrix || tuned(tuning, MATMUL_UNITS) === "tiles";
    choices.push({ tunable: MATMUL_TILE, cases: manyRows(), counts: tiled });
    const steps = [1024, 8192].map((keys) => attending(`${keys} keys`, "", { queries: 1, keys, ...heads }, true));
    choices.push({ tunable: KV_SPLIT_KEYS, cases: floats(steps) });
  }
  choices.push({
    tunable: NORM_LANES,
    cases: floats([rootNorm(1024, width), rootNorm(1, width), meanNorm(729, 1152)]),
  });
  return choices;
}
