import type { AdapterFacts } from "../runtime/adapter.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { tuned } from "../runtime/tuning.js";
import { NORM_LANES, rowsClass } from "./tunables.js";

// Rows are read as vectors of four where their width allows it.
const REDUCE = `
var<workgroup> partial: array<f32, LANES>;
const LEVELS = firstLeadingBit(LANES);
// More than any row has elements; constant bounds prove that loops end.
const MOST_STEPS = 65536u;

fn total(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var level = 1u; level <= LEVELS; level++) {
    let reach = LANES >> level;
    if (lane < reach) { partial[lane] += partial[lane + reach]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}`;

/** WGSL of the elements that a lane reads at once: `Value`, and the sum of its components. */
const VALUES = {
  four: "alias Value = vec4f;\nconst SIZE = 4u;\nfn sumOf(v: Value) -> f32 { return dot(v, vec4f(1.0)); }",
  one: "alias Value = f32;\nconst SIZE = 1u;\nfn sumOf(v: Value) -> f32 { return v; }",
};

export const rmsNormKernel = new Kernel(
  "rmsNorm",
  `
struct Params { rows: u32, width: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<Value>;        // [rows, width / SIZE]
@group(0) @binding(1) var<storage, read> weight: array<Value>;   // [width / SIZE]
@group(0) @binding(2) var<storage, read_write> y: array<Value>;  // [rows, width / SIZE]
${REDUCE}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let count = params.width / SIZE;
  let start = group.x * count;
  var squares = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    squares += sumOf(x[start + i] * x[start + i]);
  }
  let scale = 1.0 / sqrt(total(squares, lane) / f32(params.width) + params.epsilon);
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    y[start + i] = x[start + i] * scale * weight[i];
  }
}
`,
  { LANES: 32 },
);

export const layerNormKernel = new Kernel(
  "layerNorm",
  `
struct Params { rows: u32, width: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<Value>;        // [rows, width / SIZE]
@group(0) @binding(1) var<storage, read> weight: array<Value>;   // [width / SIZE]
@group(0) @binding(2) var<storage, read> bias: array<Value>;     // [width / SIZE]
@group(0) @binding(3) var<storage, read_write> y: array<Value>;  // [rows, width / SIZE]
${REDUCE}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let count = params.width / SIZE;
  let start = group.x * count;
  var sum = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    sum += sumOf(x[start + i]);
  }
  let mean = total(sum, lane) / f32(params.width);
  // Two passes: mean(x²) − mean(x)² would lose the variance to cancellation.
  var squares = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    let d = x[start + i] - mean;
    squares += sumOf(d * d);
  }
  let scale = 1.0 / sqrt(total(squares, lane) / f32(params.width) + params.epsilon);
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    y[start + i] = (x[start + i] - mean) * scale * weight[i] + bias[i];
  }
}
`,
  { LANES: 32 },
);

/** Returns the variant of a norm for rows `[rows, width]`. */
function variantFor(kernel: Kernel, rows: number, width: number, facts: AdapterFacts): Kernel {
  const shapes = rowsClass(rows);
  const wanted = tuned(facts.tuning, NORM_LANES, shapes);
  const fitting = facts.onCPU || shapes === "many" ? 32 : 256;
  const LANES = wanted === "auto" ? fitting : wanted;
  return kernel.variant({ LANES }, width % 4 === 0 ? VALUES.four : VALUES.one);
}

/**
 * Root-mean-square normalisation of each row (arXiv 1910.07467), `y = x / √(mean(x²) + ε) · weight`: x `[rows, width]`, weight
 * `[width]`, f32.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const width = x.size(-1);
  weight.expect([width], "rmsNorm");
  const y = x.device.empty(x.shape, "f32", weight.label);
  const rows = x.length / width;
  const kernel = variantFor(rmsNormKernel, rows, width, x.device.facts);
  x.device.run(kernel, { x, weight, y }, { rows, width, epsilon }, [rows]);
  return y;
}

/**
 * Layer normalisation of each row (arXiv 1607.06450), `y = (x − mean) / √(variance + ε) · weight + bias`: x `[rows, width]`,
 * f32.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  const width = x.size(-1);
  weight.expect([width], "layerNorm");
  bias.expect([width], "layerNorm");
  const y = x.device.empty(x.shape, "f32", weight.label);
  const rows = x.length / width;
  const kernel = variantFor(layerNormKernel, rows, width, x.device.facts);
  x.device.run(kernel, { x, weight, bias, y }, { rows, width, epsilon }, [rows]);
  return y;
}
