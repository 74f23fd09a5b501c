import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import type { HeadPart } from "./head-rows.js";

export const addHeadRowsKernel = new Kernel(
  "addHeadRows",
  `
struct Params { rows: u32, firstRow: u32, stride: u32, firstColumn: u32, columns: u32, heads: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [heads * rows, columns]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [.., stride]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  if (i >= params.heads * params.rows * params.columns) { return; }
  let row = i / params.columns;
  let at = (params.firstRow + row % params.rows) * params.stride + params.firstColumn + row / params.rows * params.columns;
  y[at + i % params.columns] += x[i];
}
`,
  { LANES: 64 },
);

/** Adds x `[heads·rows, columns]` to a part of y `[.., stride]`: what `headRows` copies out. */
export function addHeadRows(x: Tensor, y: Tensor, part: HeadPart): void {
  const groups = Math.ceil(x.length / addHeadRowsKernel.constants.LANES);
  const across = Math.min(groups, 65535);
  x.device.run(addHeadRowsKernel, { x, y }, { ...part, stride: y.size(-1) }, [across, Math.ceil(groups / across)], {
    bytes: 3 * x.sizeBytes,
  });
}
