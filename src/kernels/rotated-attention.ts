import type { AdapterFacts } from "../runtime/adapter.js";
import type { Tensor } from "../runtime/tensor.js";
import { attention } from "./attention.js";
import { attentionStep, headsPerWorkgroup, kvSplitsFor, ROTATING } from "./attention-step.js";
import { type CacheType, cacheTypeOf, SPAN, UPDATE_CACHE } from "./kv-format.js";
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
  { watch, into }: RotatedOptions = {},
): Tensor {
  const { heads, keyValueHeads, headSize } = sizes;
  const { cosines, sines, keys, values } = tensors;
  const rows = x.size(0);
  const type = cacheTypeOf(keys, "attention");
  if (!watch && rows === 1 && fuses(type, sizes, x.device.facts)) return step(x, tensors, first, sizes, type, into);
  const q = rope(x, cosines, sines, keys, values, first, keyValueHeads * headSize);
  watch?.(q);
  const columns = [q, keys, values].map((tensor) => ({ tensor, first: 0 }));
  const shape = { batches: 1, queries: rows, keys: first + rows, heads, keyValueHeads, headSize, causalFrom: first };
  return attention(columns[0]!, columns[1]!, columns[2]!, shape, "attention", into);
}

/** Whether one dispatch may rotate, append and attend: the heads of a key/value head in one workgroup, with scales of their own. */
function fuses(type: CacheType, { heads, keyValueHeads, headSize }: HeadSizes, facts: AdapterFacts): boolean {
  const QUADS = headSize / 4;
  const together = headsPerWorkgroup({ heads, keyValueHeads, QUADS }) === heads / keyValueHeads;
  return !facts.onCPU && together && QUADS <= 32 && QUADS % SPAN[type] === 0;
}

function step(
  x: Tensor,
  tensors: RotatedTensors,
  first: number,
  sizes: HeadSizes,
  type: CacheType,
  into: Tensor | undefined,
): Tensor {
  const { heads, keyValueHeads, headSize } = sizes;
  const { cosines, sines, keys, values } = tensors;
  const { device } = x;
  const QUADS = headSize / 4;
  const y = into ?? device.empty([1, heads * headSize], "f32", "attention");
  const parameters = {
    queries: 1,
    keys: first + 1,
    group: heads / keyValueHeads,
    causal: 0,
    firstPosition: first,
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
  const splits = kvSplitsFor(first + 1, device.facts);
  attentionStep(
    { q: x, k: keys, v: values, y, cosines, sines },
    parameters,
    header,
    { heads, keyValueHeads, QUADS },
    splits,
  );
  return y;
}
