import { swiglu } from "../kernels/swiglu.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gradients } from "./gradients.js";
import { Linear } from "./linear.js";
import type { RMSNorm } from "./norm.js";
import type { Weights } from "./weights.js";

/**
 * Feed-forward block of the vision tower, with residual connection: `y = residual + W₂·gelu_tanh(W₁·x + b₁) + b₂`.
 * @example
 * ```ts
 * const mlp = new MLP(weights.at("mlp"), 1152, 4304);
 * const y = mlp.forward(x, residual); // [rows, 1152]
 * ```
 */
export class MLP {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(weights: Weights, width: number, hidden: number) {
    this.fc1 = new Linear(weights, width, [{ name: "fc1", columns: hidden }], { bias: true });
    this.fc2 = new Linear(weights, hidden, [{ name: "fc2", columns: width }], { bias: true });
  }

  /** x `[N·P, D]`, normalised by the caller, and residual `[N·P, D]` → y `[N·P, D]` */
  forward(x: Tensor, residual: Tensor): Tensor {
    const h = this.fc1.forward(x, { activation: "gelu_tanh" }); // [N·P, F]
    return this.fc2.forward(h, { residual }); // the epilogue adds the residual: [N·P, D]
  }

  /** x `[N·P, D]`, normalised by the caller, and the gradient dy `[N·P, D]` of W₂·gelu_tanh(W₁·x + b₁) + b₂ → dx `[N·P, D]` */
  backward(x: Tensor, dy: Tensor, gradients: Gradients): Tensor {
    const h = this.fc1.forward(x, { activation: "gelu_tanh" }); // [N·P, F]
    const dh = this.fc2.backward(h, dy, gradients); // [N·P, F]
    const dSum = gradients.kernels.gelu(this.fc1.forward(x), dh, "gelu_tanh"); // [N·P, F]
    return this.fc1.backward(x, dSum, gradients); // [N·P, D]
  }
}

/**
 * SwiGLU feed-forward block (arXiv 2002.05202), with norm and residual connection:
 * `y = x + W_down·(silu(W_gate·norm(x)) ⊙ W_up·norm(x))`. Gate and up are one matrix, interleaved in blocks of 8 columns, so that the
 * epilogue of their product can apply the gate.
 * @example
 * ```ts
 * const mlp = new GatedMLP(weights.at("mlp"), 896, 4864);
 * const y = mlp.forward(x, norm); // [rows, 896]
 * ```
 */
export class GatedMLP {
  readonly gateUp: Linear;
  readonly down: Linear;

  constructor(weights: Weights, width: number, hidden: number) {
    const parts = [
      { name: "gate_proj", columns: hidden, interleave: 0 as const },
      { name: "up_proj", columns: hidden, interleave: 1 as const },
    ];
    this.gateUp = new Linear(weights, width, parts, { bias: false });
    this.down = new Linear(weights, hidden, [{ name: "down_proj", columns: width }], { bias: false });
  }

  /** x `[T, D]` → y `[T, D]`; `norm` is applied to the input of gate and up, not to the residual. */
  forward(x: Tensor, norm: RMSNorm): Tensor {
    const h = this.gateUp.forward(x, { norm, swiglu: true }); // silu(gate) ⊙ up of norm(x): [T, 2F] → [T, F]
    return this.down.forward(h, { residual: x }); // the epilogue adds x: [T, D]
  }

  /** x `[T, D]` and the gradient dy `[T, D]` of y = x + mlp(norm(x)) → dx `[T, D]`, in the place of dy. What lies between is computed again. */
  backward(x: Tensor, dy: Tensor, norm: RMSNorm, gradients: Gradients): Tensor {
    const normed = norm.forward(x); // [T, D]
    const gateUp = this.gateUp.forward(normed); // [T, 2F]
    const dh = this.down.backward(swiglu(gateUp), dy, gradients); // [T, F]
    const dNormed = this.gateUp.backward(normed, gradients.kernels.swiglu(gateUp, dh), gradients); // [T, D]
    return norm.backward(x, dNormed, gradients, dy);
  }
}
