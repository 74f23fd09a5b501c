import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Activation } from "./epilogue.js";

const SLOPES: Readonly<Record<Activation, string>> = {
  gelu_tanh: `fn slope(x: f32) -> f32 {
  let u = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  let t = tanh(clamp(u, -40.0, 40.0));
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x);
}`,
  // The normal distribution's function and density; erf by Abramowitz and Stegun, formula 7.1.26.
  gelu_erf: `fn slope(x: f32) -> f32 {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let density = exp(-z * z);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * density;
  return 0.5 * select(2.0 - tail, tail, x < 0.0) + x * 0.3989422804014327 * density;
}`,
};

export const geluGradientKernel = new Kernel(
  "geluGradient",
  `
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [count]
@group(0) @binding(1) var<storage, read> dy: array<f32>;        // [count]
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;  // [count]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  if (i < params.count) { dx[i] = dy[i] * slope(x[i]); }
}
`,
  { LANES: 64 },
);

/** Gradient of GELU: x, the values before it, and dy, of any shape → dx. */
export function geluGradient(x: Tensor, dy: Tensor, activation: Activation): Tensor {
  const dx = x.device.empty(x.shape, "f32", "dx");
  const groups = Math.ceil(x.length / geluGradientKernel.constants.LANES);
  const across = Math.min(groups, 65535);
  const kernel = geluGradientKernel.variant({}, SLOPES[activation]);
  x.device.run(kernel, { x, dy, dx }, { count: x.length }, [across, Math.ceil(groups / across)]);
  return dx;
}
