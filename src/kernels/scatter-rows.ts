import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const scatterRowsKernel = new Kernel(
  "scatterRows",
  `
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [rows, width]
@group(0) @binding(1) var<storage, read> ids: array<u32>;       // [rows]; those past the table are left out
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // [table, width]

// A lane adds all rows of one column, in order: the sum does not depend on the schedule.
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let table = arrayLength(&y) / params.width;
  for (var row = 0u; row < params.rows; row++) {
    if (ids[row] < table) { y[ids[row] * params.width + id.x] += x[row * params.width + id.x]; }
  }
}
`,
  { LANES: 64 },
);

/** No row of any table. */
export const NO_ROW = 0xffffffff;

/** Adds row i of x `[T, D]` to row `ids[i]` of y `[V, D]`: the gradient of an embedding table. Rows whose id is `NO_ROW` are left out. */
export function scatterRows(x: Tensor, ids: Tensor, y: Tensor): void {
  const [rows, width] = [x.size(0), x.size(1)];
  const groups = Math.ceil(width / scatterRowsKernel.constants.LANES);
  x.device.run(scatterRowsKernel, { x, ids, y }, { rows, width }, [groups]);
}
