import { layerNorm, rmsNorm } from "../kernels/norm.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Weights } from "./weights.js";

/**
 * Root-mean-square normalisation (arXiv 1910.07467): `x / √(mean(x²) + ε) · weight`.
 * @example
 * ```ts
 * const norm = new RMSNorm(weights.at("input_layernorm"), 896, 1e-6);
 * const y = norm.forward(x); // [rows, 896]
 * ```
 */
export class RMSNorm {
  readonly weight: Tensor;

  constructor(
    weights: Weights,
    width: number,
    readonly epsilon: number,
  ) {
    this.weight = weights.tensor("weight", [width]);
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.epsilon);
  }
}

/**
 * Layer normalisation (arXiv 1607.06450): `(x − mean) / √(variance + ε) · weight + bias`.
 * @example
 * ```ts
 * const norm = new LayerNorm(weights.at("layer_norm1"), 1152, 1e-6);
 * const y = norm.forward(x); // [rows, 1152]
 * ```
 */
export class LayerNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    weights: Weights,
    width: number,
    readonly epsilon: number,
  ) {
    this.weight = weights.tensor("weight", [width]);
    this.bias = weights.tensor("bias", [width]);
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.epsilon);
  }
}
