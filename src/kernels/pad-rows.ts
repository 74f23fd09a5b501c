import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const padRowsKernel = new Kernel(
  "padRows",
  `
struct Params { rows: u32, width: u32, padded: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [rows, width]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [rows, padded]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.padded) { return; }
  var value = 0.0;
  if (id.x < params.width) { value = x[id.y * params.width + id.x]; }
  y[id.y * params.padded + id.x] = value;
}
`,
  { LANES: 64 },
);

/** Pads rows with zeros: x `[…, width]` → `[rows, padded]`, f32. */
export function padRows(x: Tensor, padded: number): Tensor {
  const width = x.size(-1);
  const rows = x.length / width;
  const y = x.device.empty([rows, padded], "f32", `${x.label} padded`);
  x.device.run(padRowsKernel, { x, y }, { rows, width, padded }, [
    Math.ceil(padded / padRowsKernel.constants.LANES),
    rows,
  ]);
  return y;
}
