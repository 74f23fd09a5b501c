import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const swigluKernel = new Kernel(
  "swiglu",
  `
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [rows, 2 * width]: gate and up, interleaved in blocks of 8
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [rows, width]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let at = id.y * 2u * params.width + id.x / 8u * 16u + id.x % 8u;
  let gate = x[at];
  y[id.y * params.width + id.x] = gate / (1.0 + exp(clamp(-gate, -80.0, 80.0))) * x[at + 8u];
}
`,
  { LANES: 64 },
);

/**
 * SwiGLU gating (arXiv 2002.05202), `y = silu(gate) ⊙ up`: x `[T, 2F]` is gate and up, interleaved in blocks of 8 columns, y
 * `[T, F]`, f32.
 */
export function swiglu(x: Tensor): Tensor {
  const rows = x.size(0);
  const width = x.size(1) / 2;
  const y = x.device.empty([rows, width], "f32", `${x.label} swiglu`);
  x.device.run(swigluKernel, { x, y }, { rows, width }, [Math.ceil(width / swigluKernel.constants.LANES), rows]);
  return y;
}
