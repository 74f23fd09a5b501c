import { ShapeError } from "../base/errors.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { GROUP, LOAD_QUAD, PANEL, type PackedMatrix } from "./packed.js";

/** Loaders of a factor's element in row-major order, plain or transposed. */
const FACTOR = {
  a: {
    plain: "fn aAt(m: u32, k: u32) -> f32 { return a[m * params.aWidth + params.firstTerm + k]; }",
    transposed:
      "fn aAt(m: u32, k: u32) -> f32 { return a[(params.firstTerm + k) * params.aWidth + params.firstRow + m]; }",
  },
  b: {
    plain: `@group(0) @binding(1) var<storage, read> b: array<f32>;  // [inner, columns]
fn bAt(k: u32, n: u32) -> f32 { return b[k * params.columns + n]; }`,
    transposed: `@group(0) @binding(1) var<storage, read> b: array<f32>;  // [columns, inner]
fn bAt(k: u32, n: u32) -> f32 { return b[n * params.inner + k]; }`,
    // W [k, n] is packed with its rows in the lanes of panels.
    packed: `fn bAt(k: u32, n: u32) -> f32 {
  let block = k / PANEL * params.groups + n / (4u * GROUP);
  return load(block, n / 4u % GROUP, k % PANEL, scaleOf(block, k % PANEL))[n % 4u];
}`,
  },
} as const;

/**
 * Product for gradients: one workgroup computes a tile of TILE rows and columns, DEPTH terms of the sums at a time; a lane computes four
 * rows of four columns.
 */
export const gradientProductKernel = new Kernel(
  "gradientProduct",
  `
struct Params { rows: u32, columns: u32, inner: u32, groups: u32, firstTerm: u32, firstRow: u32, aWidth: u32, accumulates: u32, factor: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;          // [rows, inner], or [inner, rows] transposed
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // [rows, columns]

var<workgroup> left: array<f32, DEPTH * TILE>;   // [term, row]
var<workgroup> right: array<f32, DEPTH * TILE>;  // [term, column]
// More than any sum has terms; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * TILE;
  let column = group.x * TILE;
  let x = lane % (TILE / 4u) * 4u;
  let z = lane / (TILE / 4u) * 4u;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  for (var step = 0u; step < MOST_STEPS; step++) {
    let first = step * DEPTH;
    if (first >= params.inner) { break; }
    for (var n = 0u; n < DEPTH * TILE; n += LANES) {
      let i = n + lane;
      let k = first + i / TILE;
      let at = i % TILE;
      let inside = k < params.inner;
      left[i] = 0.0;
      right[i] = 0.0;
      if (inside && row + at < params.rows) { left[i] = aAt(row + at, k); }
      if (inside && column + at < params.columns) { right[i] = bAt(k, column + at); }
    }
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
      let at = k * TILE + x;
      let b = vec4f(right[at], right[at + 1u], right[at + 2u], right[at + 3u]);
      let start = k * TILE + z;
      s0 += left[start] * b;
      s1 += left[start + 1u] * b;
      s2 += left[start + 2u] * b;
      s3 += left[start + 3u] * b;
    }
    workgroupBarrier();
  }
  let sums = array<vec4f, 4>(s0, s1, s2, s3);
  for (var i = 0u; i < 16u; i++) {
    let m = row + z + i / 4u;
    let n = column + x + i % 4u;
    if (m >= params.rows || n >= params.columns) { continue; }
    let at = m * params.columns + n;
    let sum = params.factor * sums[i / 4u][i % 4u];
    if (params.accumulates != 0u) { y[at] += sum; } else { y[at] = sum; }
  }
}
`,
  { TILE: 32, DEPTH: 16, LANES: 64, PANEL, GROUP },
);

/** A factor of a product: a matrix `[rows, columns]`, or its transpose. */
export interface Factor {
  readonly tensor: Tensor;
  readonly transposed?: boolean | undefined;
  /** Of A transposed: only these columns of the matrix, which are rows of the product. */
  readonly columns?: { readonly first: number; readonly count: number } | undefined;
}

/**
 * `y = factor·A·B`, or `y += factor·A·B` with `into`: A `[rows, inner]` and B `[inner, columns]` f32, each plain or transposed; B may be a
 * packed matrix W `[inner, columns]`, which gives the gradient of a product's input (`dX = dY·W`). With A = dYᵀ and B = X the product is
 * the gradient of the weight. Throws ShapeError for sizes that do not match.
 */
export function gradientProduct(
  a: Factor,
  b: Factor | PackedMatrix,
  options: { readonly into?: Tensor | undefined; readonly factor?: number | undefined } = {},
): Tensor {
  const { device } = a.tensor;
  const [aRows, aColumns] = [a.tensor.length / a.tensor.size(-1), a.tensor.size(-1)];
  const [rows, inner] = a.transposed ? [a.columns?.count ?? aColumns, aRows] : [aRows, aColumns];
  const packed = "blocks" in b ? b : undefined;
  const plain = "blocks" in b ? undefined : b;
  const [terms, columns] = packed
    ? [packed.columns, packed.inner]
    : plain!.transposed
      ? [plain!.tensor.size(-1), plain!.tensor.length / plain!.tensor.size(-1)]
      : [plain!.tensor.length / plain!.tensor.size(-1), plain!.tensor.size(-1)];
  if (terms !== inner) {
    throw new ShapeError({
      where: `gradient product, tensor ${a.tensor.label}`,
      expected: `${terms} terms`,
      got: `${inner}`,
      remedy: "multiply matrices whose inner sizes agree",
    });
  }
  const y = options.into ?? device.empty([rows, columns], "f32", `${a.tensor.label} product`);
  y.expect([rows, columns], "gradient product");
  const { TILE } = gradientProductKernel.constants;
  const kernel = gradientProductKernel.variant(
    {},
    ...(packed ? [LOAD_QUAD[packed.type], FACTOR.b.packed] : [FACTOR.b[plain!.transposed ? "transposed" : "plain"]]),
    FACTOR.a[a.transposed ? "transposed" : "plain"],
  );
  const blocks = packed
    ? packed.blocks.map(({ tensor, firstColumn, columns }) => ({ tensor, first: firstColumn, terms: columns }))
    : [{ tensor: plain!.tensor, first: 0, terms }];
  for (const [i, block] of blocks.entries()) {
    device.run(
      kernel,
      { a: a.tensor, y, ...(packed ? { weights: block.tensor } : { b: block.tensor }) },
      {
        rows,
        columns,
        inner: block.terms,
        groups: packed?.groups ?? 0,
        firstTerm: block.first,
        firstRow: a.columns?.first ?? 0,
        aWidth: aColumns,
        accumulates: Number(options.into !== undefined || i > 0),
        factor: options.factor ?? 1,
      },
      [Math.ceil(columns / TILE), Math.ceil(rows / TILE)],
      { flops: 2 * rows * columns * block.terms, bytes: 4 * (rows * block.terms + rows * columns) },
    );
  }
  return y;
}
