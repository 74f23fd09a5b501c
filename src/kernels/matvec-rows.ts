import { Kernel } from "../runtime/kernel.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Matrix product of 2 to 16 rows on GPUs; called by `matmul`. One workgroup per panel, one lane per column; its slices split the inner
 * dimension (split-k), a group of quads each, and are summed in workgroup memory. The rows are staged there too, and each loaded
 * weight is used for ROWS of them.
 */
export const matvecRowsKernel = new Kernel(
  "matvecRows",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, stride]
var<workgroup> sums: array<f32, ROWS * PANEL * SLICES>;

// Quads of a row that are staged at a time: a group for each slice.
const WIDTH = SLICES * GROUP;
const THREADS = PANEL * SLICES;
// More than any matrix has; constant bounds prove that loops end.
const MOST_STEPS = 65536u;

var<workgroup> staged: array<vec4f, ROWS * WIDTH>;

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
  for (var step = 0u; step < MOST_STEPS; step++) {
    if (step * SLICES >= params.groups) { break; }
    for (var part = 0u; part < (ROWS * WIDTH + THREADS - 1u) / THREADS; part++) {
      let at = part * THREADS + local.y * PANEL + lane;
      if (at >= ROWS * WIDTH) { break; }
      let quad = step * WIDTH + at % WIDTH;
      // Quads beyond the last are zero, so the weights' padding has no effect.
      var e = vec4f();
      if (quad < params.quads) { e = x[min(firstRow + at / WIDTH, last) * params.quads + quad]; }
      staged[at] = e;
    }
    workgroupBarrier();
    let g = step * SLICES + local.y;
    if (g < params.groups) {
      let block = group.x * params.groups + g;
      let scale = scaleOf(block, lane);
      for (var j = 0u; j < GROUP; j++) {
        let w = load(block, j, lane, scale);
        for (var r = 0u; r < ROWS; r++) { own[r] += dot(staged[r * WIDTH + local.y * GROUP + j], w); }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < ROWS; r++) { sums[(r * SLICES + local.y) * PANEL + lane] = own[r]; }
  workgroupBarrier();
  let inBlock = group.x * PANEL + lane;
  // Each slice writes every SLICES-th row.
  for (var step = 0u; step < (ROWS + SLICES - 1u) / SLICES; step++) {
    let r = step * SLICES + local.y;
    let row = firstRow + r;
    if (r >= ROWS || row >= params.rows) { continue; }
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
  { PANEL, GROUP, SLICES: 8, ROWS: 2 },
);
