import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Prologue } from "./epilogue.js";
import { matvecKernel } from "./matvec.js";

const BINDINGS = `
struct Params { quads: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;             // [rows, quads]
@group(0) @binding(1) var<storage, read> normWeight: array<vec4f>;    // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;       // [rows, quads]
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;    // [rows]

fn scaleOf(squares: f32) -> f32 { return 1.0 / sqrt(squares / f32(4u * params.quads) + params.epsilon); }`;

/**
 * For CPU adapters with subgroups, a subgroup per row: the sum of squares has the order of `matvecBroadcast`, and with PAIRS, where a lane
 * adds the squares of two quads at once, of `matvecQuantized` with four lanes.
 */
export const normedRowsBroadcastKernel = new Kernel(
  "normedRowsBroadcast",
  `${BINDINGS}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let start = group.x * params.quads;
  var squares = 0.0;
  for (var first = 0u; first < params.quads; first += LANES * (1u + PAIRS)) {
    let quad = first + lane;
    var v = vec4f();
    var u = vec4f();
    if (quad < params.quads) { v = x[start + quad]; y[start + quad] = v * normWeight[quad]; }
    if (PAIRS == 0u) { squares += dot(v, v); continue; }
    let next = quad + LANES;
    if (next < params.quads) { u = x[start + next]; y[start + next] = u * normWeight[next]; }
    squares += dot(v, v) + dot(u, u);
  }
  let sum = subgroupAdd(squares);
  if (lane == 0u) { scales[group.x] = scaleOf(sum); }
}
`,
  { LANES: 8, PAIRS: 0 },
  ["enable subgroups;"],
);

/** For GPUs, a workgroup per row: the sum of squares has the order of the variant of `matvec` with as many lanes and slices. */
export const normedRowsKernel = new Kernel(
  "normedRows",
  `${BINDINGS}

const THREADS = LANES * SLICES;
// More than any row has; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;
var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let start = group.x * params.quads;
  var squares = 0.0;
  for (var chunk = 0u; chunk < MOST_STEPS; chunk++) {
    if (chunk * CHUNK >= params.quads) { break; }
    var own = 0.0;
    for (var part = 0u; part < CHUNK / THREADS; part++) {
      let i = chunk * CHUNK + part * THREADS + thread;
      let quad = min(i, params.quads - 1u);
      let v = select(vec4f(), x[start + quad], i < params.quads);
      own += dot(v, v);
      if (i < params.quads) { y[start + quad] = v * normWeight[quad]; }
    }
    squares += own;
  }
  partial[thread] = squares;
  workgroupBarrier();
  if (thread == 0u) {
    var all = 0.0;
    for (var lane = 0u; lane < LANES; lane++) {
      var sum = partial[lane];
      for (var s = 1u; s < SLICES; s++) { sum += partial[s * LANES + lane]; }
      all += sum;
    }
    scales[group.x] = scaleOf(all);
  }
}
`,
  { LANES: 8, SLICES: 8, CHUNK: matvecKernel.constants.CHUNK },
);

/** Rows times the weights of an RMSNorm, `[rows, inner]`, and the scales `1 / √(mean(x²) + ε)` that are left to apply, `[rows]`. */
export interface NormedRows {
  readonly x: Tensor;
  readonly normScales: Tensor;
}

/**
 * The RMSNorm before a product of a few rows, as the `matvec…` kernels fuse it for one row: the scale is applied after the product.
 * `kernel` is the variant whose sum of squares has the order of that product. x `[rows, quads · 4]` f32.
 */
export function normedRows(x: Tensor, quads: number, norm: Prologue, kernel: Kernel): NormedRows {
  const rows = x.length / (4 * quads);
  const y = x.device.empty(x.shape, "f32", `${x.label} normed`);
  const normScales = x.device.empty([rows], "f32", `${x.label} scales`);
  const tensors = { x, normWeight: norm.weight, y, scales: normScales };
  x.device.run(kernel, tensors, { quads, epsilon: norm.epsilon }, [rows]);
  return { x: y, normScales };
}

/** WGSL of the scale that is left to apply to a row's products, by whether there is a norm. */
export const NORM_SCALE = {
  norm: `
@group(0) @binding(6) var<storage, read> normScales: array<f32>;  // [rows]
fn normScaleAt(row: u32) -> f32 { return normScales[row]; }`,
  none: "\nfn normScaleAt(row: u32) -> f32 { return 1.0; }",
};
