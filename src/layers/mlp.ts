import type { Weights } from "../io/weights.js";
import { swiglu } from "../kernels/swiglu.js";
import type { Tensor } from "../runtime/tensor.js";
import { Linear } from "./linear.js";

/** `residual + W₂·gelu_tanh(W₁·x + b₁) + b₂` */
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

/** `residual + W_down·(silu(W_gate·x) ⊙ W_up·x)` */
export class GatedMLP {
  readonly gateUp: Linear;
  readonly down: Linear;

  constructor(weights: Weights, width: number, hidden: number) {
    const parts = [
      { name: "gate_proj", columns: hidden },
      { name: "up_proj", columns: hidden },
    ];
    this.gateUp = new Linear(weights, width, parts, { bias: false });
    this.down = new Linear(weights, hidden, [{ name: "down_proj", columns: width }], { bias: false });
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    const h = swiglu(this.gateUp.forward(x)); // [T, F]
    return this.down.forward(h, { residual }); // [T, D]
  }
}
