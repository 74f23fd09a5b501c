import { Kernel } from "../runtime/kernel.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Matrix product of 2 to 16 rows on GPUs; called by `matmul`.
 *
 * `matvec` for several rows: each row's sums have its order, so that a sequence that decodes among others gets the same numbers as alone.
 * LANES lanes own a column each, SLICES slices split the inner dimension, and each loaded weight is used for ROWS rows. x is multiplied
 * by the norm's weights already (`normedRows`), and the rows' scales are applied after the product.
 */
export const matvecRowsKernel = new Kernel(
  "matvecRows",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, stride]

const PARTS = PANEL / LANES;  // workgroups per panel
const THREADS = LANES * SLICES;
// More than any matrix has; constant bounds prove that loops end.
const MOST_STEPS = 65536u;

var<workgroup> partial: array<f32, ROWS * THREADS>;

fn silu(x: f32) -> f32 { return x / (1.0 + exp(clamp(-x, -80.0, 80.0))); }

// Quads beyond the last are zero, so the weights' padding has no effect.
fn quadAt(start: u32, i: u32) -> vec4f {
  if (WHOLE == 0u) { return select(vec4f(), x[start + min(i, params.quads - 1u)], i < params.quads); }
  return x[start + i];
}

fn sum8(a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f) -> vec4f {
  return ((a + b) + (c + d)) + ((e + f) + (g + h));
}

// Sums the slices of a row and a lane's column.
fn sumOf(r: u32, lane: u32) -> f32 {
  var sum = partial[r * THREADS + lane];
  for (var s = 1u; s < SLICES; s++) { sum += partial[r * THREADS + s * LANES + lane]; }
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let slice = thread / LANES;
  let panel = group.x / PARTS;
  let firstInPanel = group.x % PARTS * LANES;
  let column = firstInPanel + thread % LANES;
  let firstRow = group.y * ROWS;
  let last = params.rows - 1u;
  var own: array<f32, ROWS>;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let g = step * SLICES + slice;
    if (g >= params.groups) { break; }
    let at = g * GROUP;
    let block = panel * params.groups + g;
    for (var r = 0u; r < ROWS; r++) {
      let start = min(firstRow + r, last) * params.quads;
      let a = quadAt(start, at); let b = quadAt(start, at + 1u); let c = quadAt(start, at + 2u); let d = quadAt(start, at + 3u);
      let e = quadAt(start, at + 4u); let f = quadAt(start, at + 5u); let h = quadAt(start, at + 6u); let i = quadAt(start, at + 7u);
      let total = totalOf(sum8(a, b, c, d, e, f, h, i));
      own[r] += scaled(product(block, column, a, b, c, d, e, f, h, i), block, column, total);
    }
  }
  for (var r = 0u; r < ROWS; r++) { partial[r * THREADS + thread] = own[r]; }
  workgroupBarrier();
  for (var step = 0u; step < (ROWS * LANES + THREADS - 1u) / THREADS; step++) {
    let i = step * THREADS + thread;
    let r = i / LANES;
    let row = firstRow + r;
    if (r >= ROWS || row >= params.rows) { continue; }
    let lane = i % LANES;
    let local = panel * PANEL + firstInPanel + lane;
    if (local >= params.columns) { continue; }
    let scale = normScaleAt(row);
    let sum = sumOf(r, lane) * scale;
    if (isGated()) {
      // Gate and up are interleaved in blocks of eight columns: the next eight lanes have up.
      if (lane < 8u) {
        y[row * (params.stride / 2u) + (params.firstColumn + local) / 16u * 8u + lane] = silu(sum) * (sumOf(r, (lane + 8u) % LANES) * scale);
      }
    } else {
      y[row * params.stride + params.firstColumn + local] = finish(sum, row, params.firstColumn + local);
    }
  }
}
`,
  { PANEL, GROUP, LANES: 8, SLICES: 8, ROWS: 2, WHOLE: 1 },
);
