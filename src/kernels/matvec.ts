import { Kernel } from "../runtime/kernel.js";
import { GROUP, PANEL, type WeightType } from "./packed.js";

/**
 * Matrix-vector product on GPUs; called by `matmul`.
 *
 * LANES lanes own a column each; SLICES slices of lanes split the inner dimension (split-k) by groups and are summed in workgroup
 * memory. Weights are read 16 bytes at a time; a scale is applied once per group, after its sum. With NORM the row is normalised on
 * the way: the RMSNorm's scale is one number per row, so it is applied after the product.
 */
export const matvecKernel = new Kernel(
  "matvec",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]

const PARTS = PANEL / LANES;  // workgroups per panel
const THREADS = LANES * SLICES;
// More than any matrix has; constant bounds prove that loops end.
const MOST_STEPS = 65536u;

var<workgroup> staged: array<vec4f, CHUNK>;
var<workgroup> partial: array<vec2f, THREADS>;  // of the column, and of the squares of the row

fn silu(x: f32) -> f32 { return x / (1.0 + exp(clamp(-x, -80.0, 80.0))); }

fn quadAt(i: u32) -> vec4f {
  if (NORM == 1u) { return staged[i % CHUNK]; }
  // Quads beyond the last are zero, so the weights' padding has no effect.
  if (WHOLE == 0u) { return select(vec4f(), x[min(i, params.quads - 1u)], i < params.quads); }
  return x[i];
}

// Stages CHUNK quads from the first on, times the weights of the norm; returns the sum of the thread's squares. CHUNK is a multiple of
// THREADS: the loop is unrolled, and its loads are in flight together.
fn stage(first: u32, thread: u32) -> f32 {
  var own = 0.0;
  for (var part = 0u; part < CHUNK / THREADS; part++) {
    let i = part * THREADS + thread;
    let quad = min(first + i, params.quads - 1u);
    let v = select(vec4f(), x[quad], first + i < params.quads);
    own += dot(v, v);
    staged[i] = v * normAt(quad);
  }
  return own;
}

fn sum8(a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f) -> vec4f {
  return ((a + b) + (c + d)) + ((e + f) + (g + h));
}

// Adds a chunk of the row, all of it without NORM: the product with a column in x, the sum of squares in y.
fn addChunk(sums: vec2f, chunk: u32, panel: u32, column: u32, thread: u32) -> vec2f {
  let first = chunk * (CHUNK / GROUP);
  var end = params.groups;
  var sum = sums.x;
  var squares = sums.y;
  if (NORM == 1u) {
    squares += stage(chunk * CHUNK, thread);
    workgroupBarrier();
    end = min(end, first + CHUNK / GROUP);
  }
  for (var step = 0u; step < MOST_STEPS; step++) {
    let g = first + step * SLICES + thread / LANES;
    if (g >= end) { break; }
    let at = g * GROUP;
    let a = quadAt(at); let b = quadAt(at + 1u); let c = quadAt(at + 2u); let d = quadAt(at + 3u);
    let e = quadAt(at + 4u); let f = quadAt(at + 5u); let h = quadAt(at + 6u); let i = quadAt(at + 7u);
    let block = panel * params.groups + g;
    let total = totalOf(sum8(a, b, c, d, e, f, h, i));
    sum += scaled(product(block, column, a, b, c, d, e, f, h, i), block, column, total);
  }
  return vec2f(sum, squares);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let slice = thread / LANES;
  let panel = group.x / PARTS;
  let column = group.x % PARTS * LANES + lane;  // in its panel
  var all = vec2f();
  if (CHUNKS == 1u) {
    all = addChunk(all, 0u, panel, column, thread);
  } else {
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (chunk > 0u) { workgroupBarrier(); }
      all = addChunk(all, chunk, panel, column, thread);
    }
  }
  partial[thread] = all;
  workgroupBarrier();
  var sums = partial[lane];
  for (var s = 1u; s < SLICES; s++) { sums += partial[s * LANES + lane]; }
  var sum = sums.x;
  if (NORM == 1u) {
    workgroupBarrier();
    if (slice == 0u) { partial[lane].y = sums.y; }
    workgroupBarrier();
    var squares = 0.0;
    for (var l = 0u; l < LANES; l++) { squares += partial[l].y; }
    sum *= 1.0 / sqrt(squares / f32(4u * params.quads) + params.epsilon);
  }
  let local = panel * PANEL + column;
  if (isGated()) {
    // Gate and up are interleaved in blocks of eight columns: the next eight lanes have up.
    workgroupBarrier();
    if (slice == 0u) { partial[lane].x = sum; }
    workgroupBarrier();
    if (slice == 0u && lane < 8u && local < params.columns) {
      y[(params.firstColumn + local) / 16u * 8u + lane] = silu(sum) * partial[(lane + 8u) % LANES].x;
    }
  } else if (slice == 0u && local < params.columns) {
    y[params.firstColumn + local] = finish(sum, 0u, params.firstColumn + local);
  }
}
`,
  // The normalised row is staged in workgroup memory, CHUNK quads at a time.
  { PANEL, GROUP, LANES: 8, SLICES: 8, NORM: 0, CHUNK: 512, CHUNKS: 1, WHOLE: 1 },
);

const PARAMETERS =
  "group: u32, column: u32, a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f";

/**
 * WGSL of a group's dot product with the row, by type: `product(group, column, …eight quads)` before the scales;
 * `scaled(product, group, column, total)` applies them, where `total` is `totalOf` the sum of the quads. Binding 1 is the packed
 * block. Weights are loaded first and sums are of vectors until the end, so that compilers wait for memory once.
 */
export const GROUP_DOTS: Record<WeightType, string> = {
  f32: unscaled(`
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;  // [panels, groups, GROUP, PANEL]
fn product(${PARAMETERS}) -> f32 {
  let at = group * GROUP * PANEL + column;
  let p = weights[at];
  let q = weights[at + PANEL];
  let r = weights[at + 2u * PANEL];
  let s = weights[at + 3u * PANEL];
  let low = (a * p + b * q) + (c * r + d * s);
  let high = (e * weights[at + 4u * PANEL] + f * weights[at + 5u * PANEL]) + (g * weights[at + 6u * PANEL] + h * weights[at + 7u * PANEL]);
  return dot(low + high, vec4f(1.0));
}`),
  f16: pairs(`
fn two(w: vec4u, a: vec4f, b: vec4f) -> vec4f {
  return a * vec4f(unpack2x16float(w.x), unpack2x16float(w.y)) + b * vec4f(unpack2x16float(w.z), unpack2x16float(w.w));
}`),
  bf16: pairs(`
fn two(w: vec4u, a: vec4f, b: vec4f) -> vec4f {
  let low = bitcast<vec4f>(w << vec4u(16u));
  let high = bitcast<vec4f>(w & vec4u(0xffff0000u));
  return vec4f(a.xz, b.xz) * low + vec4f(a.yw, b.yw) * high;
}`),
  // Bytes are stored with 128 added, so that they widen without a sign.
  q8: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = GROUP / 4u * PANEL + PANEL / 8u;
fn totalOf(v: vec4f) -> f32 { return dot(v, vec4f(-128.0)); }
fn bytes(w: u32) -> vec4f { return vec4f((vec4u(w) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu)); }
fn product(${PARAMETERS}) -> f32 {
  let v = weights[group * WORDS + column];
  let w = weights[group * WORDS + PANEL + column];
  let low = (a * bytes(v.x) + b * bytes(v.y)) + (c * bytes(v.z) + d * bytes(v.w));
  let high = (e * bytes(w.x) + f * bytes(w.y)) + (g * bytes(w.z) + h * bytes(w.w));
  return dot(low + high, vec4f(1.0));
}
fn scaled(product: f32, group: u32, column: u32, total: f32) -> f32 {
  let scales = unpack2x16float(weights[group * WORDS + GROUP / 4u * PANEL + column % 8u / 2u][column % 2u * 2u + column / 16u]);
  return (product + total) * select(scales.y, scales.x, column % 16u < 8u);
}`,
  // The even nibbles of a word and the odd ones become bytes, which GPUs convert to floats in one instruction.
  q4: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = PANEL + PANEL / 4u;
fn totalOf(v: vec4f) -> f32 { return dot(v, vec4f(1.0)); }
fn bytes(w: u32) -> vec4f { return vec4f((vec4u(w) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu)); }
fn eight(w: u32, a: vec4f, b: vec4f) -> vec4f {
  return vec4f(a.xz, b.xz) * bytes(w & 0x0f0f0f0fu) + vec4f(a.yw, b.yw) * bytes((w >> 4u) & 0x0f0f0f0fu);
}
fn product(${PARAMETERS}) -> f32 {
  let w = weights[group * WORDS + column];
  return dot((eight(w.x, a, b) + eight(w.y, c, d)) + (eight(w.z, e, f) + eight(w.w, g, h)), vec4f(1.0));
}
fn scaled(product: f32, group: u32, column: u32, total: f32) -> f32 {
  let scale = unpack2x16float(weights[group * WORDS + PANEL + column % 8u][column / 8u]);
  return product * scale.x + total * scale.y;
}`,
};

/** The same for types without scales. */
function unscaled(product: string): string {
  return `
fn totalOf(v: vec4f) -> f32 { return 0.0; }
fn scaled(product: f32, group: u32, column: u32, total: f32) -> f32 { return product; }
${product}`;
}

/** And for 16-bit types: `two` is the product of a piece with its two quads. */
function pairs(two: string): string {
  return unscaled(`
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, GROUP / 2, PANEL]
${two}
fn product(${PARAMETERS}) -> f32 {
  let at = group * (GROUP / 2u) * PANEL + column;
  let p = weights[at];
  let q = weights[at + PANEL];
  let r = weights[at + 2u * PANEL];
  let s = weights[at + 3u * PANEL];
  return dot((two(p, a, b) + two(q, c, d)) + (two(r, e, f) + two(s, g, h)), vec4f(1.0));
}`);
}
