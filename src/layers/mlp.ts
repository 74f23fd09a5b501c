import type { Tensor } from "../runtime/tensor.js";
import { Linear } from "./linear.js";
import type { RMSNorm } from "./norm.js";
import type { Weights } from "./weights.js";

/**
 * Feed-forward block of the vision tower: `residual + W₂·gelu_tanh(W₁·x + b₁) + b₂`.
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

  forward(x: Tensor, residual: Tensor): Tensor {
    const h = this.fc1.forward(x, { activation: "gelu_tanh" }); // [N·P, F]
    return this.fc2.forward(h, { residual }); // [N·P, D]
  }
}

/**
 * SwiGLU feed-forward block (arXiv 2002.05202): `x + W_down·(silu(W_gate·norm(x)) ⊙ W_up·norm(x))`.
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

  /** x `[T, D]` → `[T, D]`; `norm` is applied to x, which is also the residual. */
  forward(x: Tensor, norm: RMSNorm): Tensor {
    const h = this.gateUp.forward(x, { norm, swiglu: true }); // [T, F]
    return this.down.forward(h, { residual: x }); // [T, D]
  }
}
