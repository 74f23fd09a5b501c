import { layerNorm, rmsNorm } from "../kernels/norm.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gradients } from "./gradients.js";
import type { Weights } from "./weights.js";

/**
 * Root-mean-square normalisation (RMSNorm, arXiv 1910.07467) of each row: `y = x / √(mean(x²) + ε) ⊙ weight`. A product over the
 * normalised rows fuses it instead (`norm` of its epilogue).
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

  /** x `[T, D]` → y `[T, D]` */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.epsilon);
  }

  /** x and dy `[T, D]` → dx `[T, D]`, added to `into` if given. */
  backward(x: Tensor, dy: Tensor, gradients: Gradients, into?: Tensor): Tensor {
    const { dx, dyNormed } = gradients.kernels.norm(x, this.weight, dy, this.epsilon, false, into);
    gradients.of(this.weight)?.addSums(dyNormed);
    return dx;
  }
}

/**
 * Layer normalisation (arXiv 1607.06450) of each row: `y = (x − mean(x)) / √(var(x) + ε) ⊙ weight + bias`.
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

  /** x `[N·P, D]` → y `[N·P, D]` */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.epsilon);
  }

  /** x and dy `[N·P, D]` → dx `[N·P, D]`, added to `into` if given. */
  backward(x: Tensor, dy: Tensor, gradients: Gradients, into?: Tensor): Tensor {
    const { dx, dyNormed } = gradients.kernels.norm(x, this.weight, dy, this.epsilon, true, into);
    gradients.of(this.weight)?.addSums(dyNormed);
    gradients.of(this.bias)?.addSums(dy);
    return dx;
  }
}
