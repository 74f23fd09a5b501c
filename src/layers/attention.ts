import { attention } from "../kernels/attention.js";
import type { Tensor } from "../runtime/tensor.js";
import type { KVCache } from "./kv-cache.js";
import { Linear } from "./linear.js";
import type { RMSNorm } from "./norm.js";
import type { Rotary } from "./rotary.js";
import type { Weights } from "./weights.js";

/**
 * Bidirectional multi-head self-attention within each tile: `residual + W_out·softmax(q·kᵀ/√C)·v + b`.
 * @example
 * ```ts
 * const attention = new BidirectionalAttention(weights.at("self_attn"), 1152, 16);
 * const y = attention.forward(x, 1, residual); // [729, 1152]
 * ```
 */
export class BidirectionalAttention {
  readonly qkv: Linear;
  readonly out: Linear;

  constructor(
    weights: Weights,
    readonly width: number,
    readonly heads: number,
  ) {
    const parts = ["q_proj", "k_proj", "v_proj"].map((name) => ({ name, columns: width }));
    this.qkv = new Linear(weights, width, parts, { bias: true });
    this.out = new Linear(weights, width, [{ name: "out_proj", columns: width }], { bias: true });
  }

  /** x `[N·P, D]`, residual `[N·P, D]` → `[N·P, D]` */
  forward(x: Tensor, tiles: number, residual: Tensor): Tensor {
    const { width, heads } = this;
    const patches = x.size(0) / tiles;
    const qkv = this.qkv.forward(x); // [N·P, 3·D]
    const [q, k, v] = [0, 1, 2].map((i) => ({ tensor: qkv, first: i * width }));
    const shape = {
      batches: tiles,
      queries: patches,
      keys: patches,
      heads,
      keyValueHeads: heads,
      headSize: width / heads,
    };
    return this.out.forward(attention(q!, k!, v!, shape, "attention"), { residual });
  }
}

export interface CausalSizes {
  readonly width: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
}

/**
 * Causal grouped-query attention (arXiv 2305.13245) of norm(x) over the KV cache: `x + W_o·softmax(rope(q)·rope(k)ᵀ/√C,
 * causal)·v`.
 * @example
 * ```ts
 * const sizes = { width: 896, heads: 14, keyValueHeads: 2, headSize: 64 };
 * const attention = new CausalAttention(weights.at("self_attn"), sizes, rotary, 0);
 * const y = attention.forward(x, norm, cache); // [rows, 896]
 * ```
 */
export class CausalAttention {
  readonly qkv: Linear;
  readonly out: Linear;

  constructor(
    weights: Weights,
    readonly sizes: CausalSizes,
    readonly rotary: Rotary,
    readonly layer: number,
  ) {
    const { width, heads, keyValueHeads, headSize } = sizes;
    const parts = [
      { name: "q_proj", columns: heads * headSize },
      { name: "k_proj", columns: keyValueHeads * headSize },
      { name: "v_proj", columns: keyValueHeads * headSize },
    ];
    this.qkv = new Linear(weights, width, parts, { bias: true });
    this.out = new Linear(weights, heads * headSize, [{ name: "o_proj", columns: width }], { bias: false });
  }

  /** x `[T, D]` → `[T, D]`; the cache holds the positions before x; keys and values of x are appended. */
  forward(x: Tensor, norm: RMSNorm, cache: KVCache): Tensor {
    const { heads, keyValueHeads, headSize } = this.sizes;
    const qkv = this.qkv.forward(x, { norm }); // [T, (H + 2K)·C]
    const q = this.rotary.forward(qkv, cache, this.layer); // [T, H·C]
    cache.watcher?.(this.layer, q);
    const queries = x.size(0);
    const attended = attention(
      { tensor: q, first: 0 },
      { tensor: cache.keys[this.layer]!, first: 0 },
      { tensor: cache.values[this.layer]!, first: 0 },
      { batches: 1, queries, keys: cache.length + queries, heads, keyValueHeads, headSize, causalFrom: cache.length },
      "attention",
    ); // [T, H·C]
    return this.out.forward(attended, { residual: x });
  }
}
