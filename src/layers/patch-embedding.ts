import { matmul } from "../kernels/matmul.js";
import type { PackedMatrix } from "../kernels/packed.js";
import { patchify } from "../kernels/patchify.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gradients } from "./gradients.js";
import { packedMatrix } from "./linear.js";
import type { Weights } from "./weights.js";

/**
 * Patch embedding of a vision transformer (arXiv 2010.11929): `y = W·patch + b + position[cell]` for each normalised patch, with
 * learned position embeddings. A convolution whose stride is its kernel size, computed as a matrix product.
 * @example
 * ```ts
 * const embedding = new PatchEmbedding(weights.at("embeddings"), 1152, 14, 27, levels);
 * const x = embedding.forward(pixels); // [tiles · 729, 1152]
 * ```
 */
export class PatchEmbedding {
  readonly weight: PackedMatrix;
  readonly bias: Tensor;
  /** `[P, D]`, the same for every tile. */
  readonly positions: Tensor;

  constructor(
    weights: Weights,
    width: number,
    readonly patchSide: number,
    cells: number,
    /** `[3, 256]`: the normalised value of each level of each channel. */
    readonly levels: Tensor,
  ) {
    const shape = [width, 3, patchSide, patchSide];
    const inner = 3 * patchSide * patchSide;
    // Too small to quantise: the error would outweigh the saving.
    this.weight = packedMatrix(
      weights.dtype === "f32" ? weights : weights.storedAs("auto"),
      inner,
      [{ name: "patch_embedding.weight", columns: width, shape }],
      "patch_embedding",
    );
    this.bias = weights.tensor("patch_embedding.bias", [width]);
    this.positions = weights.tensor("position_embedding.weight", [cells * cells, width]);
  }

  /** pixels `[N, S, S, 3]` u8 → `[N·P, D]` */
  forward(pixels: Tensor): Tensor {
    const patches = patchify(pixels, this.levels, this.patchSide); // [N·P, 3·patch²]
    // The position embeddings are the residual of the epilogue: its P rows are repeated for every tile. [N·P, D]
    return matmul(patches, this.weight, { bias: this.bias, residual: this.positions }, "vision.patches");
  }

  /** pixels as in `forward` and dy `[N·P, D]`: adds the gradients of weight, bias and positions. */
  backward(pixels: Tensor, dy: Tensor, gradients: Gradients): void {
    gradients.of(this.weight)?.addProduct(dy, patchify(pixels, this.levels, this.patchSide)); // of patches [N·P, 3·patch²]
    gradients.of(this.bias)?.addSums(dy);
    const cells = Uint32Array.from({ length: dy.size(0) }, (_, row) => row % this.positions.size(0));
    gradients.of(this.positions)?.addRows(dy, dy.device.upload(cells, [cells.length], "cells"));
  }
}
