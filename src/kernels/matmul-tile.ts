import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Tiled matrix product of many rows on GPUs; called by `matmul`.
 *
 * A workgroup computes a tile of ROWS × COLUMNS sums and walks the inner dimension DEPTH quads at a time: the threads load the
 * quads of its rows and columns to workgroup memory once, then each accumulates OWN_ROWS rows by 4·UNITS columns from there.
 * Sums stay in registers; the loops over them have constant bounds, which drivers unroll.
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

var<workgroup> xs: array<vec4f, DEPTH * ROWS>;
var<workgroup> ws: array<vec4f, DEPTH * COLUMNS>;

${PUT_COLUMNS}

// Neighbouring threads load neighbouring quads of one row; the XOR swizzle puts them into different banks.
fn placeOf(quad: u32, row: u32) -> u32 { return quad * ROWS + (row ^ quad); }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let width = params.quads;
  let firstRow = group.y * ROWS;
  let last = params.rows - 1u;
  let column = thread % COLUMNS;
  let firstQuad = thread / COLUMNS * W_QUADS;
  let panel = min(group.x * (COLUMNS / PANEL) + column / PANEL, (params.columns - 1u) / PANEL);
  let tx = thread % THREADS_X;
  let ty = thread / THREADS_X;
  var sums: array<vec4f, OWN_ROWS * UNITS>;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let k = step * DEPTH;
    if (k >= width) { break; }
    for (var i = 0u; i < X_QUADS; i++) {
      let at = thread + i * THREADS;
      let quad = at % DEPTH;
      let row = at / DEPTH;
      var e = vec4f();
      if (k + quad < width) { e = x[min(firstRow + row, last) * width + k + quad]; }
      xs[placeOf(quad, row)] = e;
    }
    let block = panel * params.groups + k / GROUP;
    let scale = scaleOf(block, column % PANEL);
    for (var i = 0u; i < W_QUADS; i++) {
      ws[(firstQuad + i) * COLUMNS + column] = load(block, k % GROUP + firstQuad + i, column % PANEL, scale);
    }
    workgroupBarrier();
    for (var quad = 0u; quad < DEPTH; quad++) {
      var w: array<mat4x4f, UNITS>;
      for (var u = 0u; u < UNITS; u++) {
        let unit = tx + u * THREADS_X;
        let at = quad * COLUMNS + unit / 8u * PANEL + unit % 8u;
        w[u] = transpose(mat4x4f(ws[at], ws[at + 8u], ws[at + 16u], ws[at + 24u]));
      }
      for (var r = 0u; r < OWN_ROWS; r++) {
        let e = xs[placeOf(quad, ty + r * THREADS_Y)];
        for (var u = 0u; u < UNITS; u++) {
          let m = w[u];
          sums[r * UNITS + u] = sums[r * UNITS + u] + e.x * m[0] + e.y * m[1] + e.z * m[2] + e.w * m[3];
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
