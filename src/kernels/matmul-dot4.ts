import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL, type QuantizedType } from "./packed.js";

/**
 * Matrix product of many rows of 8-bit activations (`quantizeActivations`) with 8- or 4-bit weights on GPUs, by packed dot products of
 * four signed bytes (DP4A); called by `matmul`, on request only.
 *
 * A workgroup computes a tile of ROWS × COLUMNS sums and walks the inner dimension a group at a time: products of a group are summed in
 * integers, exactly, then scaled and summed in f32. The next group is loaded to registers before the current one is multiplied.
 */
export const matmulDot4Kernel = new Kernel(
  "matmulDot4",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4u>;         // [rows, groups, PIECES]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]
@group(0) @binding(6) var<storage, read> xScales: array<vec2f>;   // [rows, groups]

// More than any matrix has; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;
const PIECES = GROUP / 4u;  // of 16 bytes
const THREADS_X = COLUMNS / 4u;
const THREADS_Y = ROWS / OWN_ROWS;
const THREADS = THREADS_X * THREADS_Y;
const X_PIECES = ROWS * PIECES / THREADS;
const W_PIECES = COLUMNS * PIECES / THREADS;

var<workgroup> xs: array<vec4u, PIECES * ROWS>;     // [piece, row]
var<workgroup> ws: array<vec4u, PIECES * COLUMNS>;  // [piece, column]
var<workgroup> xFactors: array<vec2f, ROWS>;
var<workgroup> wFactors: array<vec2f, COLUMNS>;

${PUT_COLUMNS}

// The four dot products of 16 elements of a row and of each of a unit's columns.
fn dots(e: vec4u, w: array<vec4u, 4>, sums: vec4i) -> vec4i {
  var own = sums;
  for (var i = 0u; i < 4u; i++) {
    own += vec4i(dot4I8Packed(e[i], w[0][i]), dot4I8Packed(e[i], w[1][i]), dot4I8Packed(e[i], w[2][i]), dot4I8Packed(e[i], w[3][i]));
  }
  return own;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let firstRow = group.y * ROWS;
  let last = params.rows - 1u;
  let ownRow = min(firstRow + thread % ROWS, last) * params.groups;
  let column = thread % COLUMNS;
  let lane = column % PANEL;
  let panel = min(group.x * (COLUMNS / PANEL) + column / PANEL, (params.columns - 1u) / PANEL) * params.groups;
  let tx = thread % THREADS_X;
  let ty = thread / THREADS_X;
  let firstOwn = tx / 8u * PANEL + tx % 8u;
  var sums: array<vec4f, OWN_ROWS>;
  var nextX: array<vec4u, X_PIECES>;
  var nextW: array<vec4u, W_PIECES>;
  for (var i = 0u; i < X_PIECES; i++) { nextX[i] = x[ownRow * PIECES + thread / ROWS + i * (THREADS / ROWS)]; }
  for (var i = 0u; i < W_PIECES; i++) { nextW[i] = pieceAt(panel, thread / COLUMNS + i * (THREADS / COLUMNS), lane); }
  var nextXFactors = xScales[ownRow];
  var nextWFactors = storedScale(panel, lane);
  for (var g = 0u; g < MOST_STEPS; g++) {
    if (g >= params.groups) { break; }
    for (var i = 0u; i < X_PIECES; i++) { xs[(thread / ROWS + i * (THREADS / ROWS)) % PIECES * ROWS + thread % ROWS] = nextX[i]; }
    for (var i = 0u; i < W_PIECES; i++) {
      let piece = (thread / COLUMNS + i * (THREADS / COLUMNS)) % PIECES;
      ws[piece * COLUMNS + column] = bytesIn(nextW[i], piece);
    }
    if (thread < ROWS) { xFactors[thread % ROWS] = nextXFactors; }
    if (thread < COLUMNS) { wFactors[column] = factorsIn(scaleIn(nextWFactors, lane)); }
    workgroupBarrier();
    let next = g + 1u;
    if (next < params.groups) {
      for (var i = 0u; i < X_PIECES; i++) { nextX[i] = x[(ownRow + next) * PIECES + thread / ROWS + i * (THREADS / ROWS)]; }
      for (var i = 0u; i < W_PIECES; i++) { nextW[i] = pieceAt(panel + next, thread / COLUMNS + i * (THREADS / COLUMNS), lane); }
      nextXFactors = xScales[ownRow + next];
      nextWFactors = storedScale(panel + next, lane);
    }
    var products = array<vec4i, OWN_ROWS>();
    for (var piece = 0u; piece < PIECES; piece++) {
      let at = piece * COLUMNS + firstOwn;
      let w = array<vec4u, 4>(ws[at], ws[at + 8u], ws[at + 16u], ws[at + 24u]);
      for (var r = 0u; r < OWN_ROWS; r++) { products[r] = dots(xs[piece * ROWS + ty + r * THREADS_Y], w, products[r]); }
    }
    let f = transpose(mat4x2f(wFactors[firstOwn], wFactors[firstOwn + 8u], wFactors[firstOwn + 16u], wFactors[firstOwn + 24u]));
    for (var r = 0u; r < OWN_ROWS; r++) {
      let e = xFactors[ty + r * THREADS_Y];
      sums[r] += vec4f(products[r]) * (e.x * f[0]);
      if (HAS_MINIMA) { sums[r] += e.y * f[1]; }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < OWN_ROWS; r++) { put(sums[r], firstRow + ty + r * THREADS_Y, group.x * (COLUMNS / 4u) + tx); }
}
`,
  { PANEL, GROUP, ROWS: 64, COLUMNS: 64, OWN_ROWS: 8 },
);

/**
 * WGSL that reads pieces of a group's weights as signed bytes, beside that of `LOAD_QUAD`: `pieceAt(group, piece, lane)` reads words,
 * `bytesIn(words, piece)` has 16 elements of them, `factorsIn(scale)` the scale, and the minimum where HAS_MINIMA.
 */
export const PACKED_BYTES: Record<QuantizedType, string> = {
  // Bytes are stored with 128 added.
  q8: `
const HAS_MINIMA = false;
fn pieceAt(group: u32, piece: u32, lane: u32) -> vec4u { return weights[group * WORDS + piece * PANEL + lane]; }
fn bytesIn(words: vec4u, piece: u32) -> vec4u { return words ^ vec4u(0x80808080u); }
fn factorsIn(scale: vec2f) -> vec2f { return vec2f(scale.x, 0.0); }`,
  q4: `
const HAS_MINIMA = true;
fn pieceAt(group: u32, piece: u32, lane: u32) -> vec4u { return weights[group * WORDS + lane]; }
fn bytesIn(words: vec4u, piece: u32) -> vec4u {
  let own = select(words.xy, words.zw, piece == 1u).xxyy >> vec4u(0u, 16u, 0u, 16u);
  return (own & vec4u(0xfu)) | ((own & vec4u(0xf0u)) << vec4u(4u)) | ((own & vec4u(0xf00u)) << vec4u(8u)) | ((own & vec4u(0xf000u)) << vec4u(12u));
}
fn factorsIn(scale: vec2f) -> vec2f { return scale; }`,
};
