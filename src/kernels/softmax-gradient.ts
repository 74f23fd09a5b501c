import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** One workgroup per row. */
export const softmaxGradientKernel = new Kernel(
  "softmaxGradient",
  `
struct Params { width: u32, scale: f32, rowsAHead: u32, firstRow: u32, causal: u32 }
@group(0) @binding(0) var<storage, read_write> s: array<f32>;   // [rows, width]; becomes the probabilities
@group(0) @binding(1) var<storage, read_write> dp: array<f32>;  // [rows, width]; becomes the gradient of s

var<workgroup> tops: array<f32, LANES>;
var<workgroup> sums: array<f32, LANES>;

// More than any sum has terms; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let start = row * params.width;
  let seen = params.firstRow + row % params.rowsAHead + 1u;
  let count = select(params.width, min(params.width, seen), params.causal != 0u);
  var top = -3.4e38;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    top = max(top, s[start + i]);
  }
  tops[lane] = top;
  workgroupBarrier();
  for (var i = 0u; i < LANES; i++) { top = max(top, tops[i]); }
  // Now s holds the exponentials.
  var sum = 0.0;
  var product = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    let e = exp(params.scale * (s[start + i] - top));
    s[start + i] = e;
    sum += e;
    product += e * dp[start + i];
  }
  sums[lane] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < LANES; i++) { total += sums[i]; }
  workgroupBarrier();
  sums[lane] = product;
  workgroupBarrier();
  var mean = 0.0;
  for (var i = 0u; i < LANES; i++) { mean += sums[i]; }
  mean /= total;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    var p = 0.0;
    if (i < count) { p = s[start + i] / total; }
    s[start + i] = p;
    dp[start + i] = select(0.0, params.scale * p * (dp[start + i] - mean), i < count);
  }
}
`,
  { LANES: 32 },
);

/** Rows whose softmax has causal masks: row i is position `firstRow + i mod rowsAHead`, and sees the columns up to its own. */
export interface CausalRows {
  readonly rowsAHead: number;
  readonly firstRow: number;
}

/**
 * Gradient of `P = softmax(scale·S)` by rows, in place: s `[rows, width]` becomes P, and dp `[rows, width]`, the gradient of P, becomes
 * that of S, `dS = scale·P ⊙ (dP − rowsum(P ⊙ dP))`. Masked columns become zeros.
 */
export function softmaxGradient(s: Tensor, dp: Tensor, scale: number, causal?: CausalRows): void {
  const [rows, width] = [s.size(0), s.size(1)];
  dp.expect([rows, width], "softmax gradient");
  const { rowsAHead, firstRow } = causal ?? { rowsAHead: rows, firstRow: 0 };
  const parameters = { width, scale, rowsAHead, firstRow, causal: Number(causal !== undefined) };
  s.device.run(softmaxGradientKernel, { s, dp }, parameters, [rows], { bytes: 20 * s.length, flops: 20 * s.length });
}
