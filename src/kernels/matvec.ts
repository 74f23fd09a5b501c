import { Kernel } from "../runtime/kernel.js";
import { GROUP, PANEL } from "./packed.js";

/** The matrix product for one row: each workgroup one panel, its slices share the inner length. Called by `matmul`. */
export const matvecKernel = new Kernel(
  "matvec",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]
var<workgroup> sums: array<f32, PANEL * SLICES>;

@compute @workgroup_size(PANEL, SLICES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  var sum = 0.0;
  for (var g = local.y; g < params.groups; g += SLICES) {
    let block = group.x * params.groups + g;
    let scale = scaleOf(block, lane);
    let first = g * GROUP;
    for (var j = 0u; j < min(GROUP, params.quads - first); j++) { sum += dot(x[first + j], load(block, j, lane, scale)); }
  }
  sums[local.y * PANEL + lane] = sum;
  workgroupBarrier();
  let inBlock = group.x * PANEL + lane;
  if (local.y != 0u || inBlock >= params.columns) { return; }
  for (var slice = 1u; slice < SLICES; slice++) { sum += sums[slice * PANEL + lane]; }
  let column = params.firstColumn + inBlock;
  y[column] = finish(sum, 0u, column, params.stride, params.residualRows);
}
`,
  { PANEL, GROUP, SLICES: 8 },
);
