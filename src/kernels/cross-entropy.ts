import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** One workgroup per row. */
export const crossEntropyKernel = new Kernel(
  "crossEntropy",
  `
struct Params { width: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> logits: array<f32>;  // [rows, width]; becomes the gradient
@group(0) @binding(1) var<storage, read> labels: array<u32>;        // [rows]
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;    // [rows]

var<workgroup> partial: array<f32, LANES>;

// More than any sum has terms; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = group.x * params.width;
  var most = -3.4e38;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    most = max(most, logits[start + i]);
  }
  partial[lane] = most;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) { partial[lane] = max(partial[lane], partial[lane + reach]); }
    workgroupBarrier();
  }
  let top = partial[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    sum += exp(logits[start + i] - top);
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) { partial[lane] += partial[lane + reach]; }
    workgroupBarrier();
  }
  let total = partial[0];
  let label = labels[group.x];
  if (lane == 0u) { loss[group.x] = log(total) + top - logits[start + label]; }
  // Another lane may overwrite the label's logit.
  storageBarrier();
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    logits[start + i] = params.scale * (exp(logits[start + i] - top) / total - select(0.0, 1.0, i == label));
  }
}
`,
  { LANES: 64 },
);

/**
 * Cross-entropy of rows of logits `[N, V]` with their labels `[N]` u32: returns the losses `[N]`, and turns the logits into the gradient of
 * `scale·Σ loss`: `scale·(softmax(logits) − onehot(label))`.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, scale: number): Tensor {
  const [rows, width] = [logits.size(0), logits.size(1)];
  const loss = logits.device.empty([rows], "f32", "loss");
  logits.device.run(crossEntropyKernel, { logits, labels, loss }, { width, scale }, [rows]);
  return loss;
}
