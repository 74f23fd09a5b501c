import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const swigluGradientKernel = new Kernel(
  "swigluGradient",
  `
struct Params { width: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [rows, 2 * width]: gate and up, interleaved in blocks of 8
@group(0) @binding(1) var<storage, read> dy: array<f32>;        // [rows, width]
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;  // [rows, 2 * width]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let at = id.y * 2u * params.width + id.x / 8u * 16u + id.x % 8u;
  let gate = x[at];
  let sigmoid = 1.0 / (1.0 + exp(clamp(-gate, -80.0, 80.0)));
  let d = dy[id.y * params.width + id.x];
  // silu'(g) = σ(g)·(1 + g·(1 − σ(g)))
  dx[at] = d * x[at + 8u] * sigmoid * (1.0 + gate * (1.0 - sigmoid));
  dx[at + 8u] = d * gate * sigmoid;
}
`,
  { LANES: 64 },
);

/** Gradient of SwiGLU, `y = silu(gate) ⊙ up`: x `[T, 2F]` as `swiglu` takes it, dy `[T, F]` → dx `[T, 2F]`. */
export function swigluGradient(x: Tensor, dy: Tensor): Tensor {
  const [rows, width] = [dy.size(0), dy.size(1)];
  const dx = x.device.empty([rows, 2 * width], "f32", "dx");
  const groups = Math.ceil(width / swigluGradientKernel.constants.LANES);
  x.device.run(swigluGradientKernel, { x, dy, dx }, { width }, [groups, rows]);
  return dx;
}
