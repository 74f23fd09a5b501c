import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** One workgroup per row; CENTRED is 1 for LayerNorm, 0 for RMSNorm. */
export const normGradientKernel = new Kernel(
  "normGradient",
  `
struct Params { width: u32, epsilon: f32, accumulates: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;               // [rows, width]
@group(0) @binding(1) var<storage, read> weight: array<f32>;          // [width]
@group(0) @binding(2) var<storage, read> dy: array<f32>;              // [rows, width]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;        // [rows, width]
@group(0) @binding(4) var<storage, read_write> dyNormed: array<f32>;  // [rows, width]: dy ⊙ x̂

var<workgroup> partial: array<f32, LANES>;
// More than any row has elements; constant bounds prove that loops end.
const MOST_STEPS = 65536u;

fn mean(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) { partial[lane] += partial[lane + reach]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum / f32(params.width);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = group.x * params.width;
  var center = 0.0;
  if (CENTRED == 1u) {
    var sum = 0.0;
    for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    sum += x[start + i];
  }
    center = mean(sum, lane);
  }
  var squares = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    let d = x[start + i] - center;
    squares += d * d;
  }
  let scale = 1.0 / sqrt(mean(squares, lane) + params.epsilon);
  // g = dy ⊙ weight: dx = scale·(g − mean(g ⊙ x̂)·x̂), for LayerNorm without the mean of g.
  var products = 0.0;
  var sums = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    let g = dy[start + i] * weight[i];
    products += g * (x[start + i] - center) * scale;
    sums += g;
  }
  let product = mean(products, lane);
  var shift = 0.0;
  if (CENTRED == 1u) { shift = mean(sums, lane); }
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    let normed = (x[start + i] - center) * scale;
    let d = scale * (dy[start + i] * weight[i] - product * normed - shift);
    if (params.accumulates != 0u) { dx[start + i] += d; } else { dx[start + i] = d; }
    dyNormed[start + i] = dy[start + i] * normed;
  }
}
`,
  { LANES: 64, CENTRED: 0 },
);

/**
 * Gradient of RMSNorm (`centred` false) or LayerNorm: x and dy `[T, D]`, weight `[D]` → dx `[T, D]` and `dyNormed` `[T, D]`, whose column
 * sums are the weight's gradient. With x̂ the normalised row and g = dy ⊙ weight: `dx = (g − mean(g ⊙ x̂)·x̂ − mean(g)) / σ`, the last mean
 * for LayerNorm only. With `into`, dx is added to it.
 */
export function normGradient(
  x: Tensor,
  weight: Tensor,
  dy: Tensor,
  epsilon: number,
  centred: boolean,
  into?: Tensor,
): { dx: Tensor; dyNormed: Tensor } {
  const width = x.size(-1);
  const dx = into ?? x.device.empty(x.shape, "f32", "dx");
  const dyNormed = x.device.empty(x.shape, "f32", "dyNormed");
  const kernel = normGradientKernel.variant({ CENTRED: Number(centred) });
  x.device.run(kernel, { x, weight, dy, dx, dyNormed }, { width, epsilon, accumulates: Number(into !== undefined) }, [
    x.length / width,
  ]);
  return { dx, dyNormed };
}
