import type { SequenceTables } from "../kernels/kv-blocks.js";
import {
  type HeadSizes,
  isOneDispatch,
  type RotatedTensors,
  rotatedAttention,
  rotatedAttentionOfSequences,
} from "../kernels/rotated-attention.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gradients } from "./gradients.js";
import type { KVCache } from "./kv-cache.js";
import { rowsOf, type SequenceRows, writeRows } from "./sequence-rows.js";

/**
 * Rotary position embedding (RoPE, arXiv 2104.09864): at position p, components m and m + C/2 of a head are rotated by the angle
 * `p·θ^(−2m/C)`, m < C/2 (the half-split pairs of GPT-NeoX). Sines and cosines are precomputed. The reference computes frequencies, angles,
 * sines and cosines in float32, which affects its results at long positions; WGSL's sine is not precise enough, so the host builds the
 * tables.
 * @example
 * ```ts
 * const rotary = new Rotary(device, 64, 1_000_000, 32_768); // head size, theta, positions
 * ```
 */
export class Rotary {
  /** `[positions, C/2]` */
  readonly cosines: Tensor;
  /** `[positions, C/2]` */
  readonly sines: Tensor;

  constructor(device: Device, headSize: number, theta: number, positions: number) {
    const half = headSize / 2;
    const frequencies = Float32Array.from({ length: half }, (_, m) =>
      Math.fround(1 / Math.fround(theta ** Math.fround((2 * m) / headSize))),
    );
    const cosines = new Float32Array(positions * half);
    const sines = new Float32Array(positions * half);
    for (let p = 0; p < positions; p++) {
      for (let m = 0; m < half; m++) {
        const angle = Math.fround(p * frequencies[m]!);
        cosines[p * half + m] = Math.cos(angle);
        sines[p * half + m] = Math.sin(angle);
      }
    }
    this.cosines = device.upload(cosines, [positions, half], "rotary.cosines");
    this.sines = device.upload(sines, [positions, half], "rotary.sines");
  }

  /** Rotates the queries and keys of x `[T, (H + 2K)·C]`, whose first row has position 0; −1 undoes it. */
  rotate(x: Tensor, { heads, keyValueHeads, headSize }: HeadSizes, sign: 1 | -1, { kernels }: Gradients): Tensor {
    return kernels.rotate(x, this.cosines, this.sines, (heads + keyValueHeads) * headSize, 0, sign);
  }

  /**
   * Causal attention of x `[T, (H + 2K)·C]`, queries, keys and values side by side, in which every sequence has consecutive rows from
   * position `cache.length` on: `softmax(rope(q)·rope(k)ᵀ / √C + causal mask)·v`. Writes the rotated keys and the values to the caches
   * of `layer`. → `[T, H·C]`. `tables`: those of the sequences (`tablesOf`); without them each sequence has dispatches of its own.
   */
  attend(
    x: Tensor,
    sequences: readonly SequenceRows[],
    layer: number,
    sizes: HeadSizes,
    tables?: SequenceTables,
  ): Tensor {
    const [only, ...others] = sequences;
    if (others.length === 0) return this.#attend(x, only!.cache, only!.cache.length, layer, sizes);
    const tensors = this.#tensors(only!.cache, layer);
    // Rows of one sequence follow each other, so one dispatch must not append and attend to them.
    if (tables && (tables.distinct || !isOneDispatch(tensors.keys, sizes, x.device.facts)))
      return rotatedAttentionOfSequences(x, tensors, tables, sizes);
    const y = x.device.empty([x.size(0), sizes.heads * sizes.headSize], "f32", "attention");
    let first = 0;
    /** Rows of this step by their cache: those of one sequence may come one by one. */
    const written = new Map<KVCache, number>();
    // Each sequence has keys and values of its own, and the kernels and the sums that it has alone.
    for (const { cache, rows } of sequences) {
      const own = rowsOf(x, first, rows);
      const before = written.get(cache) ?? 0;
      writeRows(y, first, rows, (into) => void this.#attend(own, cache, cache.length + before, layer, sizes, into));
      written.set(cache, before + rows);
      first += rows;
    }
    return y;
  }

  /** `position`: that of the first row. */
  #attend(x: Tensor, cache: KVCache, position: number, layer: number, sizes: HeadSizes, into?: Tensor): Tensor {
    const { watcher, table } = cache;
    const watch = watcher && ((q: Tensor): void => watcher(layer, q));
    return rotatedAttention(x, this.#tensors(cache, layer), position, sizes, { table, watch, into });
  }

  #tensors({ keys, values }: KVCache, layer: number): RotatedTensors {
    const { cosines, sines } = this;
    return { cosines, sines, keys: keys[layer]!, values: values[layer]! };
  }
}
