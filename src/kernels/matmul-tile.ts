import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Tiled matrix product of many rows on GPUs; called by `matmul`.
 *
 * A workgroup computes a tile of ROWS × COLUMNS sums and walks the inner dimension DEPTH quads at a time: the threads load the
 * quads of its rows and columns to workgroup memory once, then each accumulates OWN_ROWS rows by 4·UNITS columns from there.
 * Sums stay in registers; the loops over them have constant bounds, which drivers unroll.
 *
 * The next quads are loaded to registers, weights as they are stored, before the current ones are multiplied, which hides the latency
 * of memory. Workgroup memory is read in halves of quads: with whole ones twice as many factors are in registers.
 */
export const matmulTileKernel = new Kernel(
  "matmulTile",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;         // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]

// More than any matrix has; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;
const THREADS_X = COLUMNS / (4u * UNITS);
const THREADS_Y = ROWS / OWN_ROWS;
const THREADS = THREADS_X * THREADS_Y;
const X_QUADS = ROWS * DEPTH / THREADS;
const W_QUADS = COLUMNS * DEPTH / THREADS;
// The quads of a row that neighbouring threads load go to different banks: their places differ by an XOR of the row with multiples of
// this. It changes only the bits below THREADS_Y, so that the rows of a thread are at constant distances.
const SWIZZLE = 32u / DEPTH;

// Indices of workgroup memory are written out, the remainders included: so Dawn proves their range and adds no bounds check.
var<workgroup> xs: array<vec2f, 2u * DEPTH * ROWS>;     // [half, row], swizzled
var<workgroup> ws: array<vec2f, 2u * DEPTH * COLUMNS>;  // [half, pair of panels, column of a unit, unit]

${PUT_COLUMNS}

// Rows and quads outside the matrix are replaced by its last ones.
fn xAt(row: u32, quad: u32) -> vec4f { return x[min(row, params.rows - 1u) * params.quads + min(quad, params.quads - 1u)]; }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let width = params.quads;
  let firstRow = group.y * ROWS;
  let quadX = thread % DEPTH;
  let rowX = thread / DEPTH;
  let column = thread % COLUMNS;
  let lane = column % PANEL;
  let unitW = column / PANEL * 8u + column % 8u;
  let quadW = thread / COLUMNS * W_QUADS;
  let panel = min(group.x * (COLUMNS / PANEL) + column / PANEL, (params.columns - 1u) / PANEL);
  let tx = thread % THREADS_X;
  let ty = thread / THREADS_X;
  let block = panel * params.groups;
  var sums: array<vec4f, OWN_ROWS * UNITS>;
  var nextX: array<vec4f, X_QUADS>;
  var nextW: array<Stored, W_QUADS>;
  for (var i = 0u; i < X_QUADS; i++) { nextX[i] = xAt(firstRow + rowX + i * (THREADS / DEPTH), quadX); }
  for (var i = 0u; i < W_QUADS; i++) { nextW[i] = stored(block, quadW + i, lane); }
  var nextScale = storedScale(block, lane);
  for (var step = 0u; step < MOST_STEPS; step++) {
    let k = step * DEPTH;
    if (k >= width) { break; }
    for (var i = 0u; i < X_QUADS; i++) {
      let e = select(vec4f(), nextX[i], k + quadX < width);
      let row = rowX + i * (THREADS / DEPTH);
      let at = 2u * quadX * ROWS + row / THREADS_Y * THREADS_Y + (row ^ (quadX * SWIZZLE)) % THREADS_Y;
      xs[at] = e.xy;
      xs[at + ROWS] = e.zw;
    }
    let scale = scaleIn(nextScale, lane);
    for (var i = 0u; i < W_QUADS; i++) {
      let w = quadIn(nextW[i], k % GROUP + quadW + i, scale);
      let at = 2u * (quadW + i) * COLUMNS + unitW / 16u * 64u + lane / 8u * 16u + unitW % 16u;
      ws[at] = w.xy;
      ws[at + COLUMNS] = w.zw;
    }
    workgroupBarrier();
    let next = k + DEPTH;
    if (next < width) {
      for (var i = 0u; i < X_QUADS; i++) { nextX[i] = xAt(firstRow + rowX + i * (THREADS / DEPTH), next + quadX); }
      for (var i = 0u; i < W_QUADS; i++) { nextW[i] = stored(block + next / GROUP, next % GROUP + quadW + i, lane); }
      nextScale = storedScale(block + next / GROUP, lane);
    }
    for (var half = 0u; half < 2u * DEPTH; half++) {
      var w = array<mat2x4f, UNITS>();
      for (var u = 0u; u < UNITS; u++) {
        let unit = tx + u * THREADS_X;
        let at = half * COLUMNS + unit / 16u * 64u + unit % 16u;
        w[u] = transpose(mat4x2f(ws[at], ws[at + 16u], ws[at + 32u], ws[at + 48u]));
      }
      let at = half * ROWS + (ty ^ (half / 2u * SWIZZLE)) % THREADS_Y;
      for (var r = 0u; r < OWN_ROWS; r++) {
        let e = xs[at + r * THREADS_Y];
        for (var u = 0u; u < UNITS; u++) {
          let m = w[u];
          sums[r * UNITS + u] = sums[r * UNITS + u] + e.x * m[0] + e.y * m[1];
        }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < OWN_ROWS; r++) {
    for (var u = 0u; u < UNITS; u++) {
      put(sums[r * UNITS + u], firstRow + ty + r * THREADS_Y, group.x * (COLUMNS / 4u) + tx + u * THREADS_X);
    }
  }
}
`,
  { PANEL, GROUP, ROWS: 64, COLUMNS: 64, OWN_ROWS: 8, UNITS: 1, DEPTH: 8 },
);

/** Tile sizes; each needs at most 16 KiB of workgroup memory and 256 threads, which every adapter has. */
export const TILES = {
  low: { ROWS: 32, COLUMNS: 64, OWN_ROWS: 4, UNITS: 1, DEPTH: 8 },
  middle: { ROWS: 64, COLUMNS: 64, OWN_ROWS: 8, UNITS: 1, DEPTH: 8 },
  large: { ROWS: 128, COLUMNS: 128, OWN_ROWS: 8, UNITS: 2, DEPTH: 4 },
} as const;

/** Workgroups that keep a large GPU busy; the large tile is used where it yields at least as many. */
const MANY_WORKGROUPS = 256;

/** Returns the tile for a product: the largest that wastes few rows and yields enough workgroups. */
export function tileFor(rows: number, columns: number): (typeof TILES)[keyof typeof TILES] {
  if (rows <= TILES.low.ROWS) return TILES.low;
  const { ROWS, COLUMNS } = TILES.large;
  return Math.ceil(rows / ROWS) * Math.ceil(columns / COLUMNS) >= MANY_WORKGROUPS ? TILES.large : TILES.middle;
}
