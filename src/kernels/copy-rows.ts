import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const copyRowsKernel = new Kernel(
  "copyRows",
  `
struct Params { width: u32 }
@group(0) @binding(0) var<storage, read> source: array<f32>;       // [·, width]
@group(0) @binding(1) var<storage, read_write> into: array<f32>;   // [·, width]
@group(0) @binding(2) var<storage, read> rows: array<vec2u>;       // [n]: source row, target row

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let row = rows[id.y];
  into[row.y * params.width + id.x] = source[row.x * params.width + id.x];
}
`,
  { LANES: 64 },
);

/** In place: `target[rows[i][1]] = source[rows[i][0]]`; source `[·, D]`, target `[·, D]` f32, rows `[n, 2]` u32. */
export function copyRows(source: Tensor, rows: Tensor, target: Tensor): void {
  const width = target.size(-1);
  const count = rows.size(0);
  source.device.run(
    copyRowsKernel,
    { source, into: target, rows },
    { width },
    [Math.ceil(width / copyRowsKernel.constants.LANES), count],
    { bytes: 8 * count * width },
  );
}
