import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const headRowsKernel = new Kernel(
  "headRows",
  `
struct Params { rows: u32, firstRow: u32, stride: u32, firstColumn: u32, columns: u32, heads: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [.., stride]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [heads * rows, columns], or transposed

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  let count = params.heads * params.rows;
  if (i >= count * params.columns) { return; }
  // Consecutive lanes write consecutive elements.
  let row = select(i / params.columns, i % count, TRANSPOSED != 0u);
  let column = select(i % params.columns, i / count, TRANSPOSED != 0u);
  let head = row / params.rows;
  y[i] = x[(params.firstRow + row % params.rows) * params.stride + params.firstColumn + head * params.columns + column];
}
`,
  { LANES: 64, TRANSPOSED: 0 },
);

/** A part of a matrix: rows from `firstRow` on, and the columns of `heads` adjacent heads from `firstColumn` on. */
export interface HeadPart {
  readonly firstRow: number;
  readonly rows: number;
  readonly firstColumn: number;
  /** Columns of a head. */
  readonly columns: number;
  readonly heads: number;
}

/** Copies a part of x `[.., stride]` with the heads one below the other: `[heads·rows, columns]`, or `[columns, heads·rows]` transposed. */
export function headRows(x: Tensor, part: HeadPart, transposed = false): Tensor {
  const { rows, columns, heads } = part;
  const y = x.device.empty(transposed ? [columns, heads * rows] : [heads * rows, columns], "f32", `${x.label} part`);
  const groups = Math.ceil(y.length / headRowsKernel.constants.LANES);
  const across = Math.min(groups, 65535);
  const kernel = headRowsKernel.variant({ TRANSPOSED: Number(transposed) });
  x.device.run(kernel, { x, y }, { ...part, stride: x.size(-1) }, [across, Math.ceil(groups / across)], {
    bytes: 2 * y.sizeBytes,
  });
  return y;
}

/** The transposed matrix: x `[rows, columns]` → `[columns, rows]`; only the columns from `first` on, `count` of them, if given. */
export function transpose(x: Tensor, first = 0, count = x.size(-1)): Tensor {
  const rows = x.length / x.size(-1);
  return headRows(x, { firstRow: 0, rows, firstColumn: first, columns: count, heads: 1 }, true);
}
