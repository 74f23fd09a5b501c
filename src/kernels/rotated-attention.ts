import type { AdapterFacts } from "../runtime/adapter.js";
import type { Tensor } from "../runtime/tensor.js";
import { attention } from "./attention.js";
import { attentionStep, headsPerWorkgroup, ROTATING } from "./attention-step.js";
import type { BlockTable, SequenceTables } from "./kv-blocks.js";
import { type CacheType, cacheTypeOf, SPAN, UPDATE_CACHE } from "./kv-format.js";
import { type KVSplits, splitsFor } from "./kv-splits.js";
import { rope } from "./rope.js";

/** Sizes of causal grouped-query attention. */
export interface HeadSizes {
  readonly heads: number;
  readonly keyValueHeads: number;
  /** A multiple of 8. */
  readonly headSize: number;
}

/** The tables of RoPE, `[positions, C/2]` each, and the cache of a layer, `[capacity, K·C or padded]` each. */
export interface RotatedTensors {
  readonly cosines: Tensor;
  readonly sines: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

export interface RotatedOptions {
  /** The blocks of the sequence, where keys and values have those of several. */
  readonly table?: BlockTable | undefined;
  readonly watch?: ((queries: Tensor) => void) | undefined;
  readonly into?: Tensor | undefined;
}

/**
 * Causal attention of new rows with RoPE (arXiv 2104.09864): `softmax(rope(q)·rope(k)ᵀ / √C + causal mask)·v`. x
 * `[T, (H + 2K)·C]` is queries, keys and values side by side; row i has position `first + i`. Writes in place: rows `first` to
 * `first + T` of keys (rotated) and values. Result `[T, H·C]` f32. One row on GPUs is one dispatch, or two with KV splits; otherwise
 * `rope` and `attention`. `into` is the result if given. `watch` gets the rotated queries once the keys are written.
 */
export function rotatedAttention(
  x: Tensor,
  tensors: RotatedTensors,
  first: number,
  sizes: HeadSizes,
  { table, watch, into }: RotatedOptions = {},
): Tensor {
  const { heads, keyValueHeads, headSize } = sizes;
  const { cosines, sines, keys, values } = tensors;
  const rows = x.size(0);
  if (!watch && rows === 1 && isOneDispatch(keys, sizes, x.device.facts)) {
    return step(x, tensors, first + 1, sizes, splitsFor(first + 1, x.device.facts), table, into);
  }
  const q = rope(x, cosines, sines, keys, values, first, keyValueHeads * headSize, table);
  watch?.(q);
  const columns = [q, keys, values].map((tensor) => ({ tensor, first: 0 }));
  const shape = { batches: 1, queries: rows, keys: first + rows, heads, keyValueHeads, headSize, causalFrom: first };
  return attention(columns[0]!, columns[1]!, columns[2]!, { ...shape, table }, "attention", into);
}

/**
 * The same for one new row of each of several sequences, x `[N, (H + 2K)·C]` → `[N, H·C]`: as many dispatches as for one, and the numbers
 * that each row has alone. Rows that follow each other in one sequence are those of `together`.
 */
export function rotatedAttentionOfSequences(
  x: Tensor,
  tensors: RotatedTensors,
  tables: SequenceTables,
  sizes: HeadSizes,
): Tensor {
  const { heads, keyValueHeads, headSize } = sizes;
  const { cosines, sines, keys, values } = tensors;
  if (isOneDispatch(keys, sizes, x.device.facts)) {
    return step(x, tensors, tables.keys, sizes, { splitKeys: 0, count: tables.splits }, tables, undefined);
  }
  const q = rope(x, cosines, sines, keys, values, 0, keyValueHeads * headSize, tables);
  const columns = [q, keys, values].map((tensor) => ({ tensor, first: 0 }));
  const shape = { batches: tables.count, queries: 1, keys: tables.keys, heads, keyValueHeads, headSize, table: tables };
  return attention(columns[0]!, columns[1]!, columns[2]!, shape, "attention");
}

/**
 * Whether one dispatch rotates a row, appends to the cache and attends: the heads of a key/value head are in one workgroup, with scales of
 * their own. Then no row may attend to one that is appended beside it.
 */
export function isOneDispatch(
  keys: Tensor,
  { heads, keyValueHeads, headSize }: HeadSizes,
  facts: AdapterFacts,
): boolean {
  const QUADS = headSize / 4;
  const together = headsPerWorkgroup({ heads, keyValueHeads, QUADS }) === heads / keyValueHeads;
  return !facts.onCPU && together && QUADS <= 32 && QUADS % SPAN[cacheTypeOf(keys, "attention")] === 0;
}

/** `count`: keys of the sequence with the most. */
function step(
  x: Tensor,
  tensors: RotatedTensors,
  count: number,
  sizes: HeadSizes,
  splits: KVSplits,
  table: BlockTable | SequenceTables | undefined,
  into: Tensor | undefined,
): Tensor {
  const { heads, keyValueHeads, headSize } = sizes;
  const { cosines, sines, keys, values } = tensors;
  const { device } = x;
  const QUADS = headSize / 4;
  const type: CacheType = cacheTypeOf(keys, "attention");
  const y = into ?? device.empty([x.size(0), heads * headSize], "f32", "attention");
  const parameters = {
    queries: 1,
    keys: count,
    group: heads / keyValueHeads,
    causal: 0,
    firstPosition: count - 1,
    qStride: x.size(-1) / 4,
    qFirst: 0,
    kStride: keys.size(-1) / 4,
    kFirst: 0,
    vStride: values.size(-1) / 4,
    vFirst: 0,
    yStride: heads * QUADS,
    scale: headSize ** -0.5,
    kvQuads: keyValueHeads * QUADS,
  };
  const header = [`const SPAN = ${SPAN[type]}u;`, UPDATE_CACHE[type], ROTATING];
  attentionStep(
    { q: x, k: keys, v: values, y, cosines, sines },
    parameters,
    header,
    { heads, keyValueHeads, QUADS },
    splits,
    table,
  );
  return y;
}
