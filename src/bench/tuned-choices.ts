import {
  KV_SPLIT_KEYS,
  keysClass,
  MATMUL_TILE,
  MATMUL_UNITS,
  MATVEC_BLOCKS,
  MATVEC_SLICES,
  NORM_LANES,
  rowsClass,
  widthClass,
} from "../kernels/tunables.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import { type Tunable, type Tuning, tuned } from "../runtime/tuning.js";
import { attending, product } from "./kernels.js";
import { meanNorm, rootNorm } from "./row-kernels.js";
import { type BenchType, VOCABULARY, type Workload } from "./workload.js";

/** Model sizes whose shapes are measured. */
export type Size = "0.5b" | "7b";

/** A kernel parameter, and the workloads on which its values are compared. */
export interface TunedChoice {
  readonly tunable: Tunable;
  /** The class of shapes that the workloads have, one of the parameter's, whose value is chosen; without, that of all. */
  readonly shapes?: string;
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

/** A workload, and what its class depends on: columns, rows or keys. */
interface Sized {
  readonly workload: Workload;
  readonly size: number;
}

/** Returns the parameters that matter on an adapter, dependencies first; those with classes of shapes once for each. */
export function choicesFor(facts: AdapterFacts, size: Size, dtypes: readonly BenchType[]): TunedChoice[] {
  const { width, mlpWidth, qkv, heads } = SIZES[size];
  const multiply = (rows: number, inner: number, columns: number): Sized => {
    return { workload: product(`${rows}×${columns}`, "", rows, inner, columns), size: columns };
  };
  const oneRow = [multiply(1, width, qkv), multiply(1, mlpWidth, width), multiply(1, width, 2 * mlpWidth)];
  // The head is the only wide matrix of the small model; that of 7B would take a gigabyte.
  const head = size === "0.5b" ? [multiply(1, width, VOCABULARY)] : [];
  // A tile of a picture, and a prompt.
  const manyRows = [multiply(729, 1152, 4304), multiply(1024, width, 2 * mlpWidth), multiply(1024, mlpWidth, width)];
  const casesOf = (sized: readonly Sized[], types: readonly BenchType[]): TunedChoice["cases"] =>
    sized.flatMap(({ workload }) => types.map((dtype) => ({ workload, dtype })));
  const byClass = (
    tunable: Tunable,
    classOf: (size: number) => string,
    sized: readonly Sized[],
    types: readonly BenchType[],
  ): TunedChoice[] =>
    [...new Set(sized.map(({ size }) => classOf(size)))].map((shapes) => {
      const alike = sized.filter(({ size }) => classOf(size) === shapes);
      return { tunable, shapes, cases: casesOf(alike, types) };
    });
  const choices: TunedChoice[] = [];
  if (facts.broadcastLanes) choices.push({ tunable: MATVEC_BLOCKS, cases: casesOf(oneRow, dtypes) });
  if (!facts.onCPU) {
    choices.push(...byClass(MATVEC_SLICES, widthClass, [...oneRow, ...head], dtypes));
    if (facts.subgroupMatrix) choices.push({ tunable: MATMUL_UNITS, cases: casesOf(manyRows, dtypes) });
    const counts = (tuning: Readonly<Tuning>): boolean =>
      !facts.subgroupMatrix || tuned(tuning, MATMUL_UNITS) === "tiles";
    choices.push(...byClass(MATMUL_TILE, widthClass, manyRows, dtypes).map((choice) => ({ ...choice, counts })));
    const steps = [1024, 8192].map((keys): Sized => {
      return { workload: attending(`${keys} keys`, "", { queries: 1, keys, ...heads }, true), size: keys };
    });
    choices.push(...byClass(KV_SPLIT_KEYS, keysClass, steps, ["f32"]));
  }
  const norms: Sized[] = [
    { workload: rootNorm("", 1, width), size: 1 },
    { workload: rootNorm("", 1024, width), size: 1024 },
    { workload: meanNorm(729, 1152), size: 729 },
  ];
  choices.push(...byClass(NORM_LANES, rowsClass, norms, ["f32"]));
  return choices;
}
