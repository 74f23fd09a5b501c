import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { tuned } from "../runtime/tuning.js";
import { NORM_LANES } from "./tunables.js";

const REDUCE = `
var<workgroup> partial: array<f32, LANES>;
fn total(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}`;

export const rmsNormKernel = new Kernel(
  "rmsNorm",
  `
struct Params { rows: u32, width: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [rows, width]
@group(0) @binding(1) var<storage, read> weight: array<f32>;   // [width]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, width]
${REDUCE}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = group.x * params.width;
  var squares = 0.0;
  for (var i = lane; i < params.width; i += LANES) { squares += x[start + i] * x[start + i]; }
  let scale = 1.0 / sqrt(total(squares, lane) / f32(params.width) + params.epsilon);
  for (var i = lane; i < params.width; i += LANES) { y[start + i] = x[start + i] * scale * weight[i]; }
}
`,
  { LANES: 32 },
);

export const layerNormKernel = new Kernel(
  "layerNorm",
  `
struct Params { rows: u32, width: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [rows, width]
@group(0) @binding(1) var<storage, read> weight: array<f32>;   // [width]
@group(0) @binding(2) var<storage, read> bias: array<f32>;     // [width]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, width]
${REDUCE}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = group.x * params.width;
  var sum = 0.0;
  for (var i = lane; i < params.width; i += LANES) { sum += x[start + i]; }
  let mean = total(sum, lane) / f32(params.width);
  // Two passes: mean(x²) − mean(x)² would lose the variance to cancellation.
  var squares = 0.0;
  for (var i = lane; i < params.width; i += LANES) {
    let d = x[start + i] - mean;
    squares += d * d;
  }
  let scale = 1.0 / sqrt(total(squares, lane) / f32(params.width) + params.epsilon);
  for (var i = lane; i < params.width; i += LANES) { y[start + i] = (x[start + i] - mean) * scale * weight[i] + bias[i]; }
}
`,
  { LANES: 32 },
);

/**
 * Root-mean-square normalisation of each row (arXiv 1910.07467), `y = x / √(mean(x²) + ε) · weight`: x `[rows, width]`, weight
 * `[width]`, f32.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const width = x.size(-1);
  weight.expect([width], "rmsNorm");
  const y = x.device.empty(x.shape, "f32", weight.label);
  const rows = x.length / width;
  const kernel = rmsNormKernel.variant({ LANES: tuned(x.device.facts.tuning, NORM_LANES) });
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
  const kernel = layerNormKernel.variant({ LANES: tuned(x.device.facts.tuning, NORM_LANES) });
  x.device.run(kernel, { x, weight, bias, y }, { rows, width, epsilon }, [rows]);
  return y;
}
