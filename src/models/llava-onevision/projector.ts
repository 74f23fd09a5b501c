import type { Gradients } from "../../layers/gradients.js";
import { Linear } from "../../layers/linear.js";
import type { Weights } from "../../layers/weights.js";
import type { Tensor } from "../../runtime/tensor.js";

/**
 * Multimodal projector, a two-layer MLP from vision width to language width (LLaVA-1.5, arXiv 2310.03744):
 * `y = W₂·gelu_erf(W₁·x + b₁) + b₂`. The activation is fused into the first product; there is no residual connection.
 */
export class Projector {
  readonly linear1: Linear;
  readonly linear2: Linear;

  /** `names`: the checkpoint's names of the two layers. */
  constructor(weights: Weights, names: readonly [string, string], visionWidth: number, width: number) {
    this.linear1 = new Linear(weights, visionWidth, [{ name: names[0], columns: width }], { bias: true });
    this.linear2 = new Linear(weights, width, [{ name: names[1], columns: width }], { bias: true });
  }

  /** features `[N·P, D_vision]` → `[N·P, D]` */
  forward(features: Tensor): Tensor {
    const h = this.linear1.forward(features, { activation: "gelu_erf" }); // [N·P, D]
    const y = this.linear2.forward(h); // [N·P, D]
    features.device.tap?.("projector", y);
    return y;
  }

  /** features `[N·P, D_vision]` and the gradient dy `[N·P, D]` → the gradient of the features `[N·P, D_vision]` */
  backward(features: Tensor, dy: Tensor, gradients: Gradients): Tensor {
    const h = this.linear1.forward(features, { activation: "gelu_erf" }); // [N·P, D]
    const dh = this.linear2.backward(h, dy, gradients); // [N·P, D]
    const dSum = gradients.kernels.gelu(this.linear1.forward(features), dh, "gelu_erf"); // [N·P, D]
    return this.linear1.backward(features, dSum, gradients);
  }
}
