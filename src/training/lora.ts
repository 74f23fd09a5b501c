import { OptionError } from "../base/errors.js";
import { gather } from "../kernels/gather.js";
import type { PackedMatrix } from "../kernels/packed.js";
import type { Linear } from "../layers/linear.js";
import { type LowRank, LowRankAdapter, type LowRankPair } from "../layers/low-rank.js";
import type { Qwen2 } from "../models/llava-onevision/qwen2.js";
import type { TrainedWeight } from "./parameters.js";
import { randomNumbers } from "./random.js";

/** Modules of a decoder layer that LoRA can be added to. */
export const LORA_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
/** A module of a decoder layer. */
export type LoraModule = (typeof LORA_MODULES)[number];

/** Sizes of a new adapter. */
export interface LoraSizes {
  readonly rank: number;
  readonly alpha: number;
  readonly modules: readonly LoraModule[];
}

/** The linear layers of the decoder's layers. */
export function decoderLayers({ layers }: Qwen2): Linear[] {
  return layers.flatMap(({ attention, mlp }) => [attention.qkv, attention.out, mlp.gateUp, mlp.down]);
}

/**
 * Creates an adapter (LoRA, arXiv 2106.09685) that changes nothing yet: B is zero, A uniform within ±1/√inner, as PEFT initialises it. The
 * same seed gives the same A. The layers attach it; allocate in an arena that lives as long as the model.
 */
export function addAdapter(language: Qwen2, name: string, { rank, alpha, modules }: LoraSizes, seed: number): void {
  const random = randomNumbers(seed);
  const pairs = new Map<string, LowRankPair>();
  const layers = decoderLayers(language);
  for (const { modules: own, weight } of layers) {
    const { inner } = weight;
    for (const { module, columns } of own) {
      if (!modules.some((last) => module.endsWith(`.${last}`))) continue;
      const bound = 1 / Math.sqrt(inner);
      const a = Float32Array.from({ length: rank * inner }, () => bound * (2 * random() - 1));
      pairs.set(module, { a, b: new Float32Array(columns * rank), rank, inner, columns, scale: alpha / rank });
    }
  }
  const adapter = new LowRankAdapter(name, pairs);
  for (const layer of layers) layer.attach(adapter);
  language.adapters.add(adapter);
}

/** What an adapter adds to each of the decoder's linear layers. */
export function additionsOf(language: Qwen2, name: string): LowRank[] {
  return decoderLayers(language).flatMap(({ added }) => added.filter(({ adapter }) => adapter === name));
}

/** The weights of an adapter that are trained. Throws OptionError for modules of one fused layer whose scales differ. Uses the current arena. */
export function loraWeights(language: Qwen2, name: string): TrainedWeight[] {
  const { device } = language.norm.weight;
  return additionsOf(language, name).flatMap(({ down, up, parts }): TrainedWeight[] => {
    const own = parts.filter(({ rank }) => rank > 0);
    const [{ scale }] = own as [(typeof own)[0]];
    const other = own.find((part) => part.scale !== scale);
    if (other) {
      throw new OptionError({
        where: `training adapter ${name}: ${other.module}`,
        expected: `alpha / rank ${scale}, as of ${own[0]!.module}, which it is computed with`,
        got: `${other.scale}`,
        remedy: "train an adapter without alpha_pattern and rank_pattern",
      });
    }
    const row: TrainedWeight = { parameter: down, part: "lora" };
    if (parts.length === 1) return [row, { parameter: up, part: "lora", scale }];
    const ranks = parts.flatMap(({ rank }, i) => Array<number>(rank).fill(i));
    const upload = (values: readonly number[], label: string) =>
      device.upload(Uint32Array.from(values), [values.length], label);
    const rankBlocks = { partOfRow: upload(partOfRows(parts), "parts"), partOfRank: upload(ranks, "parts of ranks") };
    return [row, { parameter: up, part: "lora", scale, rankBlocks }];
  });
}

/** The part that each column of a fused layer belongs to. */
function partOfRows(parts: LowRank["parts"]): number[] {
  const isInterleaved = parts.some(({ interleave }) => interleave !== undefined);
  if (!isInterleaved) return parts.flatMap(({ columns }, i) => Array<number>(columns).fill(i));
  const total = parts.reduce((sum, { columns }) => sum + columns, 0);
  return Array.from({ length: total }, (_, column) => Math.floor(column / INTERLEAVED) % 2);
}

/** Columns of a block of interleaved matrices; see `pack`. */
const INTERLEAVED = 8;

/** The matrices of an adapter as they are now, by module. */
export async function readAdapterPairs(language: Qwen2, name: string): Promise<Map<string, LowRankPair>> {
  const pairs = new Map<string, LowRankPair>();
  for (const added of additionsOf(language, name)) {
    const { down, up } = added;
    const [as, bs] = [await readRows(down, allRows(down)), await readRows(up, allRows(up))];
    for (const [module, pair] of splitPairs(added, as, bs)) pairs.set(module, pair);
  }
  return pairs;
}

/** The pairs of a layer's modules from the rows of its fused matrices, or of their gradients; B divided by its scale. */
export function splitPairs({ down, up, parts }: LowRank, as: Float32Array, bs: Float32Array): Map<string, LowRankPair> {
  const pairs = new Map<string, LowRankPair>();
  const rows = partOfRows(parts);
  let firstRank = 0;
  for (const [i, { module, columns, rank, scale }] of parts.entries()) {
    if (rank === 0) continue;
    const b = new Float32Array(columns * rank);
    let at = 0;
    for (const [row, part] of rows.entries()) {
      if (part !== i) continue;
      for (let r = 0; r < rank; r++) b[at++] = bs[row * up.inner + firstRank + r]! / scale;
    }
    const a = as.slice(firstRank * down.inner, (firstRank + rank) * down.inner);
    pairs.set(module, { a, b, rank, inner: down.inner, columns, scale });
    firstRank += rank;
  }
  return pairs;
}

/** Reads rows of a packed matrix, widened to f32: `[rows, inner]`. */
export async function readRows(matrix: PackedMatrix, rows: readonly number[]): Promise<Float32Array> {
  const { device } = matrix.blocks[0]!.tensor;
  const arena = device.arena("rows");
  try {
    const read = arena.run(() =>
      gather(device.upload(Uint32Array.from(rows), [rows.length], "rows"), matrix, matrix.label),
    );
    return await read.read();
  } finally {
    arena.dispose();
  }
}

function allRows({ columns }: PackedMatrix): number[] {
  return Array.from({ length: columns }, (_, row) => row);
}
