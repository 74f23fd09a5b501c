import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const scatterRowsKernel = new Kernel(
  "scatterRows",
  `
struct Params { rows: u32, width: u32, first: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [rows, width]
@group(0) @binding(1) var<storage, read> ids: array<u32>;       // [rows]; those past the table are left out
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // [table, width]

// A lane adds all rows of one column, in order: the sum does not depend on the schedule.
// More than any sum has terms; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let table = arrayLength(&y) / params.width;
  for (var row = 0u; row < MOST_STEPS; row++) {
    if (row >= params.rows) { break; }
    // Smaller ids than the first wrap around, past the table.
    let entry = ids[row] - params.first;
    if (entry < table) { y[entry * params.width + id.x] += weightOf(row) * x[row * params.width + id.x]; }
  }
}
`,
  { LANES: 64 },
);

const WEIGHTS = {
  none: "fn weightOf(row: u32) -> f32 { return 1.0; }",
  given: `@group(0) @binding(3) var<storage, read> weights: array<f32>;  // [rows]
fn weightOf(row: u32) -> f32 { return weights[row]; }`,
};

/** No row of any table. */
export const NO_ROW = 0xffffffff;

/**
 * Adds row i of x `[T, D]`, times `weights[i]` if given `[T]`, to row `ids[i]` of y `[V, D]`: the gradient of an embedding table or of a
 * selection of rows. y may be a block of the table whose first row is `first`. Rows whose id is `NO_ROW`, or not in the block, are left out.
 */
export function scatterRows(
  x: Tensor,
  ids: Tensor,
  y: Tensor,
  { weights, first = 0 }: { readonly weights?: Tensor | undefined; readonly first?: number } = {},
): void {
  const [rows, width] = [x.size(0), x.size(1)];
  const groups = Math.ceil(width / scatterRowsKernel.constants.LANES);
  const kernel = scatterRowsKernel.variant({}, WEIGHTS[weights ? "given" : "none"]);
  x.device.run(kernel, { x, ids, y, ...(weights && { weights }) }, { rows, width, first }, [groups]);
}
