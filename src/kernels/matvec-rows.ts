import { Kernel } from "../runtime/kernel.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Matrix product of one or a few rows on GPUs; called by `matmul`. One workgroup per panel; its slices split the inner dimension
 * (split-k) and are summed in workgroup memory. Each loaded weight is used for ROWS rows.
 */
export const matvecKernel = new Kernel(
  "matvec",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, stride]
var<workgroup> sums: array<f32, ROWS * PANEL * SLICES>;

fn silu(x: f32) -> f32 { return x / (1.0 + exp(clamp(-x, -80.0, 80.0))); }

// Sums the slices' partial results of a row and a column of the panel.
fn sumOf(row: u32, lane: u32) -> f32 {
  var sum = 0.0;
  for (var slice = 0u; slice < SLICES; slice++) { sum += sums[(row * SLICES + slice) * PANEL + lane]; }
  return sum;
}

@compute @workgroup_size(PANEL, SLICES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let firstRow = group.y * ROWS;
  let last = params.rows - 1u;
  var own: array<f32, ROWS>;
  for (var g = local.y; g < params.groups; g += SLICES) {
    let block = group.x * params.groups + g;
    let scale = scaleOf(block, lane);
    let first = g * GROUP;
    for (var j = 0u; j < min(GROUP, params.quads - first); j++) {
      let w = load(block, j, lane, scale);
      for (var r = 0u; r < ROWS; r++) { own[r] += dot(x[min(firstRow + r, last) * params.quads + first + j], w); }
    }
  }
  for (var r = 0u; r < ROWS; r++) { sums[(r * SLICES + local.y) * PANEL + lane] = own[r]; }
  workgroupBarrier();
  let inBlock = group.x * PANEL + lane;
  // Each slice writes every SLICES-th row.
  for (var r = local.y; r < min(ROWS, params.rows - firstRow); r += SLICES) {
    let row = firstRow + r;
    if (isGated()) {
      let at = (params.firstColumn + inBlock) / 16u * 8u + lane % 8u;
      if (lane % 16u < 8u && inBlock < params.columns) {
        y[row * (params.stride / 2u) + at] = silu(sumOf(r, lane)) * sumOf(r, (lane + 8u) % PANEL);
      }
    } else if (inBlock < params.columns) {
      let column = params.firstColumn + inBlock;
      y[row * params.stride + column] = finish(sumOf(r, lane), row, column);
    }
  }
}
`,
  { PANEL, GROUP, SLICES: 8, ROWS: 1 },
);
