import type { SubgroupMatrix } from "../runtime/feature-self-test.js";
import { Kernel } from "../runtime/kernel.js";
import { MATRIX_LAYOUT, MATRIX_TILE, matrixDepth } from "../runtime/matrix-layout.js";
import { GROUP, PANEL, type WeightType } from "./packed.js";
import { UPPER_HALF } from "./row-fragments.js";

/**
 * Matrix product of many rows on subgroup matrices (cooperative matrices, tensor cores); called by `matmul`.
 *
 * A workgroup computes a tile of TILE × TILE sums in f32, a quarter per subgroup, and walks the inner dimension DEPTH quads at a
 * time. Elements of type E are staged in workgroup memory, from which the matrices are loaded. Where E is f16, an f32 element is
 * split into a high and a low half (split precision as in Markidis et al., arXiv 1803.04014), so that a product keeps 22 bits instead
 * of 11: three f16 products instead of one, two where the weights have at most 11 significant bits. The rows of x are scaled by
 * powers of two (`rowScales`), undone in the epilogue: activations exceed the range of f16, and the low halves of small ones are below it.
 * The large tile loads the matrices of x from storage, where `rowFragments` has put their halves.
 *
 * Subgroups may be larger or smaller than expected: fewer than four per workgroup process the quarters in a loop; of more than four,
 * the others repeat the work of the first four.
 */
export const matmulSubgroupMatrixKernel = new Kernel(
  "matmulSubgroupMatrix",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]

// More than any matrix has; constant bounds prove that loops end.
const MOST_STEPS = 1048576u;
${MATRIX_LAYOUT}
const QUADS_EACH = TILE * DEPTH / THREADS;

var<workgroup> ws: array<E, W_PARTS * TILE * STRIDE>;   // [part, column, inner]
var<workgroup> results: array<f32, 4u * M * WIDE>;      // [quarter, row, column]

fn silu(v: f32) -> f32 { return v / (1.0 + exp(clamp(-v, -80.0, 80.0))); }

fn put(at: u32, row: u32, local: u32) {
  if (row >= params.rows || local >= params.columns) { return; }
  if (isGated()) {
    if (local % 16u < 8u) {
      let half = (params.firstColumn + local) / 16u * 8u + local % 8u;
      let inverse = inverseAt(row);
      y[row * (params.stride / 2u) + half] = silu(results[at] * inverse) * (results[at + 8u] * inverse);
    }
    return;
  }
  let column = params.firstColumn + local;
  y[row * params.stride + column] = finish(results[at] * inverseAt(row), row, column);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32,
) {
  let width = params.quads;
  let firstRow = group.y * TILE;
  let firstColumn = group.x * TILE;
  let column = thread % TILE;
  let firstQuad = thread / TILE * QUADS_EACH;
  let panel = min((firstColumn + column) / PANEL, (params.columns - 1u) / PANEL);
  let scales = scalesOf(firstRow, thread);
  for (var turn = 0u; turn < 4u; turn++) {
    let first = turn * subgroups;
    if (first >= 4u) { break; }
    let quarter = (first + subgroup) % 4u;
    let top = quarter / 2u * OWN;
    let left = quarter % 2u * OWN;
    // With a value: some compilers clear a variable of a loop only once.
    var sums = array<Result, DOWN * ACROSS>();
    for (var step = 0u; step < MOST_STEPS; step++) {
      let k = step * DEPTH;
      if (k >= width) { break; }
      stageRows(firstRow, k, thread, scales);
      let block = panel * params.groups + k / GROUP;
      let scale = scaleOf(block, column % PANEL);
      for (var i = 0u; i < QUADS_EACH; i++) {
        let quad = firstQuad + i;
        stageW(column * STRIDE + 4u * quad, load(block, k % GROUP + quad, column % PANEL, scale));
      }
      workgroupBarrier();
      for (var inner = 0u; inner < 4u * DEPTH; inner += K) {
        var l: array<Left, X_PARTS * DOWN>;
        for (var p = 0u; p < X_PARTS; p++) {
          for (var i = 0u; i < DOWN; i++) { l[p * DOWN + i] = leftAt(leftPlace(firstRow, k, p, top + i * M, inner)); }
        }
        for (var j = 0u; j < ACROSS; j++) {
          for (var q = 0u; q < W_PARTS; q++) {
            let r = rightAt((q * TILE + left + j * N) * STRIDE + inner);
            // The product of two low halves is below the precision of the sum.
            for (var p = 0u; p < X_PARTS; p++) {
              if (p > 0u && p + q >= X_PARTS) { break; }
              for (var i = 0u; i < DOWN; i++) { sums[i * ACROSS + j] = added(sums[i * ACROSS + j], l[p * DOWN + i], r); }
            }
          }
        }
      }
      workgroupBarrier();
    }
    for (var i = 0u; i < DOWN; i++) {
      for (var j = 0u; j < OWN / WIDE; j++) {
        if (subgroup < 4u) {
          for (var s = 0u; s < WIDE / N; s++) { keep(quarter * M * WIDE + s * N, sums[i * ACROSS + j * (WIDE / N) + s]); }
        }
        workgroupBarrier();
        for (var part = 0u; part < (4u * M * WIDE + THREADS - 1u) / THREADS; part++) {
          let at = part * THREADS + thread;
          if (at >= 4u * M * WIDE) { break; }
          let stored = at / (M * WIDE);
          if (stored >= first && stored < first + subgroups) {
            let row = firstRow + stored / 2u * OWN + i * M + at / WIDE % M;
            put(at, row, firstColumn + stored % 2u * OWN + j * WIDE + at % WIDE);
          }
        }
        workgroupBarrier();
      }
    }
  }
}
`,
  { PANEL, GROUP, TILE: MATRIX_TILE, M: 16, N: 16, K: 16, DEPTH: 8, X_PARTS: 1, W_PARTS: 1 },
);

/** The subgroup-matrix operations that the body calls; WGSL names the types by columns × rows. */
const OPERATIONS = `
alias Left = subgroup_matrix_left<E, K, M>;
alias Right = subgroup_matrix_right<E, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;
fn rightAt(at: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&ws, at, STRIDE); }
fn added(sum: Result, l: Left, r: Right) -> Result { return subgroupMatrixMultiplyAccumulate(l, r, sum); }
fn keep(at: u32, sum: Result) { subgroupMatrixStore<row_major>(&results, at, sum, WIDE); }`;

/** WGSL of the rows of x, by where matrices are loaded from: `leftAt(leftPlace(…))` loads one, and `stageRows` stages a step's. */
const ROWS = {
  staged: [
    `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;  // [rows, quads]
var<workgroup> xs: array<E, X_PARTS * TILE * STRIDE>;      // [part, row, inner]
alias Scales = array<f32, QUADS_EACH>;
fn scalesOf(firstRow: u32, thread: u32) -> Scales {
  var scales: Scales;
  for (var i = 0u; i < QUADS_EACH; i++) { scales[i] = rowScaleAt(min(firstRow + (thread + i * THREADS) / DEPTH, params.rows - 1u)); }
  return scales;
}
fn stageRows(firstRow: u32, k: u32, thread: u32, scales: Scales) {
  for (var i = 0u; i < QUADS_EACH; i++) {
    let at = thread + i * THREADS;
    let quad = at % DEPTH;
    let row = at / DEPTH;
    var e = vec4f();
    if (k + quad < params.quads) { e = x[min(firstRow + row, params.rows - 1u) * params.quads + k + quad]; }
    stageX(row * STRIDE + 4u * quad, e * scales[i]);
  }
}
fn leftPlace(firstRow: u32, k: u32, part: u32, row: u32, inner: u32) -> u32 { return (part * TILE + row) * STRIDE + inner; }`,
    "fn leftAt(at: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&xs, at, STRIDE); }",
  ],
  // Halves in the order of `rowFragments`: a matrix is contiguous in storage, and loaded from there.
  fragments: [
    `
@group(0) @binding(0) var<storage, read> x: array<E>;  // [blocks of M rows, blocks of K, part, M, K]
alias Scales = u32;
fn scalesOf(firstRow: u32, thread: u32) -> Scales { return 0u; }
fn stageRows(firstRow: u32, k: u32, thread: u32, scales: Scales) {}
fn leftPlace(firstRow: u32, k: u32, part: u32, row: u32, inner: u32) -> u32 {
  let blocks = (params.quads + DEPTH - 1u) / DEPTH * (4u * DEPTH / K);
  let block = min(firstRow + row, params.rows - 1u) / M;
  return ((block * blocks + (4u * k + inner) / K) * X_PARTS + part) * (M * K);
}`,
    "fn leftAt(at: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&x, at, K); }",
  ],
} as const;

/** WGSL that writes elements to workgroup memory. */
const STAGE_ELEMENTS = {
  f32: `
alias E = f32;
fn rowScaleAt(row: u32) -> f32 { return 1.0; }
fn inverseAt(row: u32) -> f32 { return 1.0; }
fn stageW(at: u32, v: vec4f) { for (var c = 0u; c < 4u; c++) { ws[at + c] = v[c]; } }`,
  // The high bits are masked: compilers optimise a conversion to f16 and back away, and the remainder would be zero.
  // Rows of x are scaled below 2^15, so none is beyond the largest f16. Weights are not scaled: the conversion of those beyond it is
  // implementation-defined, hence the clamp; the remainder adds as much again.
  f16: `
alias E = f16;
@group(0) @binding(6) var<storage, read> rowScales: array<f32>;   // [rows], powers of two
fn rowScaleAt(row: u32) -> f32 { return rowScales[row]; }
// The inverse of a power of two has the exponent negated.
fn inverseAt(row: u32) -> f32 { return bitcast<f32>(0x7f000000u - bitcast<u32>(rowScales[row])); }
fn bounded(v: vec4f) -> vec4f { return clamp(v, vec4f(-65504.0), vec4f(65504.0)); }
${UPPER_HALF}
fn stageW(at: u32, v: vec4f) {
  let e = upper(bounded(v));
  let rest = bounded(v - e);
  for (var c = 0u; c < 4u; c++) {
    ws[at + c] = E(e[c]);
    if (W_PARTS == 2u) { ws[TILE * STRIDE + at + c] = E(rest[c]); }
  }
}`,
} as const;

/** The same of staged rows. */
const STAGE_ROWS = {
  f32: "fn stageX(at: u32, v: vec4f) { for (var c = 0u; c < 4u; c++) { xs[at + c] = v[c]; } }",
  f16: `
fn stageX(at: u32, v: vec4f) {
  let e = upper(v);
  let rest = v - e;
  for (var c = 0u; c < 4u; c++) {
    xs[at + c] = E(e[c]);
    if (X_PARTS == 2u) { xs[TILE * STRIDE + at + c] = E(rest[c]); }
  }
}`,
} as const;

/** Weight types that f16 represents without a low half; bf16 values below 6e-5 lose bits, without effect on the sums. */
const FITS_F16: readonly WeightType[] = ["f16", "bf16"];

/** Quads of the inner dimension per step of the large tile, so that it fits the workgroup memory of every adapter. */
export const LARGE_DEPTH = 4;

/** Rows and columns of the large tile. */
export const LARGE_MATRIX_TILE = 128;

/**
 * Returns the kernel variant for an adapter's subgroup matrices and a weight type. `large`: with the large tile and rows in fragment
 * order, which needs factors in f16.
 */
export function matmulSubgroupMatrix(
  { m: M, n: N, k: K, input }: SubgroupMatrix,
  type: WeightType,
  workgroupBytes: number,
  large = false,
): Kernel {
  const halves = input === "f16" ? { X_PARTS: 2, W_PARTS: FITS_F16.includes(type) ? 1 : 2 } : {};
  const size = large ? { TILE: LARGE_MATRIX_TILE, DEPTH: LARGE_DEPTH } : { DEPTH: matrixDepth(workgroupBytes) };
  const enable = input === "f16" ? ["enable f16;"] : [];
  return matmulSubgroupMatrixKernel.variant(
    { M, N, K, ...size, ...halves },
    ...enable,
    "enable subgroups;",
    "enable chromium_experimental_subgroup_matrix;",
    OPERATIONS,
    STAGE_ELEMENTS[input],
    ...(large ? ROWS.fragments : [...ROWS.staged, STAGE_ROWS[input]]),
  );
}
