import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const columnSumsKernel = new Kernel(
  "columnSums",
  `
struct Params { rows: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;          // [rows, columns]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;    // [columns]

// More than any sum has terms; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) { return; }
  var sum = 0.0;
  for (var row = 0u; row < MOST_STEPS; row++) {
    if (row >= params.rows) { break; }
    sum += x[row * params.columns + id.x];
  }
  y[id.x] += sum;
}
`,
  { LANES: 64 },
);

/** Adds the sums of the columns of x `[T, D]` to y `[D]`: the gradient of a bias. */
export function addColumnSums(x: Tensor, y: Tensor): void {
  const columns = x.size(-1);
  y.expect([columns], "column sums");
  const groups = Math.ceil(columns / columnSumsKernel.constants.LANES);
  x.device.run(columnSumsKernel, { x, y }, { rows: x.length / columns, columns }, [groups]);
}
