import { gather } from "../kernels/gather.js";
import { matmul } from "../kernels/matmul.js";
import type { PackedMatrix } from "../kernels/packed.js";
import type { Tensor } from "../runtime/tensor.js";
import { packedMatrix } from "./linear.js";
import type { Weights } from "./weights.js";

/**
 * Token embedding table E `[V, D]`: row i of the result is `E[ids[i]]`. A tied output head multiplies by the same table.
 * @example
 * ```ts
 * const embedding = new Embedding(weights.at("embed_tokens"), 151_936, 896);
 * const x = embedding.forward(device.upload(Uint32Array.of(9707), [1], "ids")); // [1, 896]
 * ```
 */
export class Embedding {
  readonly table: PackedMatrix;

  constructor(weights: Weights, vocabulary: number, width: number) {
    this.table = packedMatrix(weights, width, [{ name: "weight", columns: vocabulary }], "weight");
  }

  /** ids `[T]` u32 → `[T, D]` */
  forward(ids: Tensor): Tensor {
    return gather(ids, this.table, "embeddings");
  }

  /** Tied output head, `x·Eᵀ`: x `[T, D]` → `[T, V]` */
  logits(x: Tensor): Tensor {
    return matmul(x, this.table, {}, "logits");
  }
}
