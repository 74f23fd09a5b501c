import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const adamwKernel = new Kernel(
  "adamw",
  `
struct Params { count: u32, rate: f32, beta1: f32, beta2: f32, correction1: f32, correction2: f32, epsilon: f32, decay: f32, limit: f32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> w: array<f32>;   // [count]
@group(0) @binding(1) var<storage, read> gradient: array<f32>;  // [count]
@group(0) @binding(2) var<storage, read_write> m: array<f32>;   // [count]
@group(0) @binding(3) var<storage, read_write> v: array<f32>;   // [count]
@group(0) @binding(4) var<storage, read> squares: array<f32>;   // [1]: the gradient's squared norm, of all parameters

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  if (i >= params.count) { return; }
  // As torch.nn.utils.clip_grad_norm_ clips.
  let clip = min(1.0, params.limit / (sqrt(squares[0]) + 1e-6));
  let g = clip * params.scale * gradient[i];
  let mi = params.beta1 * m[i] + (1.0 - params.beta1) * g;
  let vi = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
  m[i] = mi;
  v[i] = vi;
  w[i] = w[i] * (1.0 - params.rate * params.decay)
    - params.rate * params.scale * (mi / params.correction1) / (sqrt(vi / params.correction2) + params.epsilon);
}
`,
  { LANES: 64 },
);

/** Settings of AdamW; the defaults of the model family's training in brackets. */
export interface AdamW {
  /** Learning rate. */
  readonly rate: number;
  /** β₁ and β₂ (0.9 and 0.999). */
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Decoupled weight decay. */
  readonly decay: number;
  /** Norm to which the gradient of all parameters together is clipped. */
  readonly clip: number;
}

/** No clipping. */
export const NO_CLIP = 3e38;

/**
 * One step of AdamW (arXiv 1711.05101) on one parameter, in place: w, its gradient and the moments m and v, of any one shape. `step` counts
 * from 1; `squares` `[1]` is the squared norm of all gradients. w is stored as `scale` times the parameter that is optimised.
 */
export function adamw(
  w: Tensor,
  gradient: Tensor,
  m: Tensor,
  v: Tensor,
  squares: Tensor,
  step: number,
  { rate, betas: [beta1, beta2], epsilon, decay, clip }: AdamW,
  scale = 1,
): void {
  const groups = Math.ceil(w.length / adamwKernel.constants.LANES);
  const across = Math.min(groups, 65535);
  w.device.run(
    adamwKernel,
    { w, gradient, m, v, squares },
    {
      count: w.length,
      rate,
      beta1,
      beta2,
      correction1: 1 - beta1 ** step,
      correction2: 1 - beta2 ** step,
      epsilon,
      decay,
      limit: clip,
      scale,
    },
    [across, Math.ceil(groups / across)],
    { bytes: 28 * w.length },
  );
}
