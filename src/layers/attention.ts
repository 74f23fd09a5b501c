import { attention } from "../kernels/attention.js";
import type { SequenceTables } from "../kernels/kv-blocks.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gradients } from "./gradients.js";
import { Linear } from "./linear.js";
import type { RMSNorm } from "./norm.js";
import type { Rotary } from "./rotary.js";
import type { SequenceRows } from "./sequence-rows.js";
import type { Weights } from "./weights.js";

/**
 * Bidirectional multi-head self-attention (arXiv 1706.03762) within each tile, with residual connection. For each head,
 * `a_h = softmax(q_h·k_hᵀ / √C)·v_h` with `[q, k, v] = W_qkv·x + b_qkv`; the result is `y = residual + W_out·[a_1 … a_H] + b_out`.
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

  /** x `[N·P, D]`, normalised by the caller, and residual `[N·P, D]` → y `[N·P, D]` */
  forward(x: Tensor, tiles: number, residual: Tensor): Tensor {
    const attended = this.#attend(this.qkv.forward(x), tiles); // [N·P, 3·D] → [N·P, D], heads side by side
    return this.out.forward(attended, { residual }); // the epilogue adds the residual: [N·P, D]
  }

  /** x `[N·P, D]`, normalised by the caller, and the gradient dy `[N·P, D]` of W_out·[a_1 … a_H] + b_out → dx `[N·P, D]` */
  backward(x: Tensor, tiles: number, dy: Tensor, gradients: Gradients): Tensor {
    const { width, heads } = this;
    const qkv = this.qkv.forward(x); // [N·P, 3·D]
    const attended = this.#attend(qkv, tiles); // [N·P, D]
    const dAttended = this.out.backward(attended, dy, gradients); // [N·P, D]
    const rows = x.size(0) / tiles;
    const shape = { batches: tiles, rows, heads, keyValueHeads: heads, headSize: width / heads, causal: false };
    const dQKV = gradients.kernels.attention(qkv, dAttended, shape); // [N·P, 3·D]
    return this.qkv.backward(x, dQKV, gradients); // [N·P, D]
  }

  #attend(qkv: Tensor, tiles: number): Tensor {
    const { width, heads } = this;
    const patches = qkv.size(0) / tiles;
    const [q, k, v] = [0, 1, 2].map((i) => ({ tensor: qkv, first: i * width }));
    const shape = {
      batches: tiles,
      queries: patches,
      keys: patches,
      heads,
      keyValueHeads: heads,
      headSize: width / heads,
    };
    return attention(q!, k!, v!, shape, "attention");
  }
}

/** Sizes of grouped-query attention. */
export interface CausalSizes {
  /** D */
  readonly width: number;
  /** H */
  readonly heads: number;
  /** K; heads h of the same `⌊h / (H / K)⌋` share keys and values. */
  readonly keyValueHeads: number;
  /** C */
  readonly headSize: number;
}

/**
 * Causal grouped-query self-attention (arXiv 2305.13245) over the KV cache, with norm and residual connection. For each head,
 * `a_h = softmax(rope(q_h)·rope(k)ᵀ / √C + causal mask)·v` with `[q, k, v] = W_qkv·norm(x) + b_qkv`, where k and v include the
 * cached positions; the result is `y = x + W_o·[a_1 … a_H]`.
 * @example
 * ```ts
 * const sizes = { width: 896, heads: 14, keyValueHeads: 2, headSize: 64 };
 * const attention = new CausalAttention(weights.at("self_attn"), sizes, rotary, 0);
 * const y = attention.forward(x, norm, [{ cache, rows: x.size(0) }]); // [rows, 896]
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

  /**
   * x `[T, D]` → y `[T, D]`. Caches contain the positions before the rows of x; their keys and values are written after them. `tables`: see
   * `Rotary.attend`.
   */
  forward(x: Tensor, norm: RMSNorm, sequences: readonly SequenceRows[], tables?: SequenceTables): Tensor {
    const qkv = this.qkv.forward(x, { norm }); // of norm(x): [T, (H + 2K)·C]
    const attended = this.rotary.attend(qkv, sequences, this.layer, this.sizes, tables); // [T, H·C]; k and v go to the caches
    return this.out.forward(attended, { residual: x }); // the epilogue adds x: [T, D]
  }

  /**
   * x `[T, D]` of a whole sequence and the gradient dy `[T, D]` of y = x + attention(norm(x)) → dx `[T, D]`, in the place of dy. What lies
   * between is computed again from x.
   */
  backward(x: Tensor, dy: Tensor, norm: RMSNorm, gradients: Gradients): Tensor {
    const { sizes } = this;
    const { heads, keyValueHeads, headSize } = sizes;
    const rows = x.size(0);
    const normed = norm.forward(x); // [T, D]
    const rotated = this.rotary.rotate(this.qkv.forward(normed), sizes, 1, gradients); // [T, (H + 2K)·C]
    const columns = (first: number) => ({ tensor: rotated, first: first * headSize });
    const shape = { batches: 1, queries: rows, keys: rows, heads, keyValueHeads, headSize, causalFrom: 0 };
    const [q, k, v] = [columns(0), columns(heads), columns(heads + keyValueHeads)];
    const attended = attention(q, k, v, shape, "attention"); // [T, H·C]
    const dAttended = this.out.backward(attended, dy, gradients); // [T, H·C]
    const gradientShape = { batches: 1, rows, heads, keyValueHeads, headSize, causal: true };
    const dRotated = gradients.kernels.attention(rotated, dAttended, gradientShape); // [T, (H + 2K)·C]
    const dQKV = this.rotary.rotate(dRotated, sizes, -1, gradients); // [T, (H + 2K)·C]
    const dNormed = this.qkv.backward(normed, dQKV, gradients); // [T, D]
    return norm.backward(x, dNormed, gradients, dy);
  }
}
