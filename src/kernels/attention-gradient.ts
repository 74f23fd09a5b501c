import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** Common to the three kernels. Keys of a row's batch are `base` to `base + count`; a causal row attends to those up to itself. */
const COMMON = `
struct Params { rows: u32, group: u32, stride: u32, kFirst: u32, vFirst: u32, width: u32, causal: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> qkv: array<f32>;  // [batches * rows, stride]
@group(0) @binding(1) var<storage, read> dy: array<f32>;   // [batches * rows, width]

var<workgroup> one: array<f32, HEAD>;
var<workgroup> other: array<f32, HEAD>;
var<workgroup> firsts: array<f32, LANES>;
var<workgroup> seconds: array<f32, LANES>;

fn dotOne(source: u32) -> f32 {
  var sum = 0.0;
  for (var c = 0u; c < HEAD; c++) { sum += one[c] * qkv[source + c]; }
  return sum;
}`;

/** One workgroup per row and head: the logarithm of the sum of its exponentials, and the product of its output and gradient. */
export const attentionStatisticsKernel = new Kernel(
  "attentionStatistics",
  `
${COMMON}
@group(0) @binding(2) var<storage, read> y: array<f32>;                    // [batches * rows, width]
@group(0) @binding(3) var<storage, read_write> statistics: array<vec2f>;   // [batches * rows, heads]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let head = group.x;
  let base = row / params.rows * params.rows;
  let count = select(params.rows, row - base + 1u, params.causal != 0u);
  for (var c = lane; c < HEAD; c += LANES) { one[c] = qkv[row * params.stride + head * HEAD + c] * params.scale; }
  workgroupBarrier();
  let keys = params.kFirst + head / params.group * HEAD;
  var top = -3.4e38;
  var sum = 0.0;
  for (var j = lane; j < count; j += LANES) {
    let score = dotOne((base + j) * params.stride + keys);
    let next = max(top, score);
    sum = sum * exp(top - next) + exp(score - next);
    top = next;
  }
  firsts[lane] = top;
  seconds[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    var most = firsts[0];
    for (var i = 1u; i < LANES; i++) { most = max(most, firsts[i]); }
    var total = 0.0;
    for (var i = 0u; i < LANES; i++) { total += seconds[i] * exp(firsts[i] - most); }
    var product = 0.0;
    for (var c = 0u; c < HEAD; c++) {
      let at = row * params.width + head * HEAD + c;
      product += y[at] * dy[at];
    }
    statistics[row * groups.x + head] = vec2f(most + log(total), product);
  }
}
`,
  { LANES: 64, HEAD: 64 },
);

/** One workgroup per row and head: the gradient of its query, LANES keys at a time. */
export const queryGradientKernel = new Kernel(
  "queryGradient",
  `
${COMMON}
@group(0) @binding(2) var<storage, read> statistics: array<vec2f>;     // [batches * rows, heads]
@group(0) @binding(3) var<storage, read_write> dqkv: array<f32>;       // [batches * rows, stride]
// More than any sequence has blocks of keys; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let head = group.x;
  let base = row / params.rows * params.rows;
  let count = select(params.rows, row - base + 1u, params.causal != 0u);
  for (var c = lane; c < HEAD; c += LANES) {
    one[c] = qkv[row * params.stride + head * HEAD + c] * params.scale;
    other[c] = dy[row * params.width + head * HEAD + c];
  }
  workgroupBarrier();
  let statistic = statistics[row * groups.x + head];
  let shared_ = head / params.group * HEAD;
  var sums = array<f32, CHUNKS>();
  for (var step = 0u; step < MOST_STEPS; step++) {
    let first = step * LANES;
    if (first >= count) { break; }
    let j = first + lane;
    firsts[lane] = 0.0;
    if (j < count) {
      let source = (base + j) * params.stride + shared_;
      let p = exp(dotOne(source + params.kFirst) - statistic.x);
      var dp = 0.0;
      for (var c = 0u; c < HEAD; c++) { dp += other[c] * qkv[source + params.vFirst + c]; }
      firsts[lane] = p * (dp - statistic.y);
    }
    workgroupBarrier();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      let c = chunk * LANES + lane;
      if (c < HEAD) {
        var sum = 0.0;
        for (var i = 0u; i < min(LANES, count - first); i++) {
          sum += firsts[i] * qkv[(base + first + i) * params.stride + params.kFirst + shared_ + c];
        }
        sums[chunk] += sum;
      }
    }
    workgroupBarrier();
  }
  for (var chunk = 0u; chunk < CHUNKS; chunk++) {
    let c = chunk * LANES + lane;
    if (c < HEAD) { dqkv[row * params.stride + head * HEAD + c] = params.scale * sums[chunk]; }
  }
}
`,
  { LANES: 64, HEAD: 64, CHUNKS: 1 },
);

/** One workgroup per key and key/value head: the gradients of the key and the value, LANES queries at a time. */
export const keyGradientKernel = new Kernel(
  "keyGradient",
  `
${COMMON}
@group(0) @binding(2) var<storage, read> statistics: array<vec2f>;     // [batches * rows, heads]
@group(0) @binding(3) var<storage, read_write> dqkv: array<f32>;       // [batches * rows, stride]
// More than any sequence has blocks of queries; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let base = row / params.rows * params.rows;
  let key = row * params.stride + params.kFirst + group.x * HEAD;
  let value = row * params.stride + params.vFirst + group.x * HEAD;
  let heads = groups.x * params.group;
  for (var c = lane; c < HEAD; c += LANES) {
    one[c] = qkv[key + c];
    other[c] = qkv[value + c];
  }
  workgroupBarrier();
  var keySums = array<f32, CHUNKS>();
  var valueSums = array<f32, CHUNKS>();
  let start = select(base, row, params.causal != 0u);
  let count = base + params.rows - start;
  for (var h = 0u; h < params.group; h++) {
    let head = group.x * params.group + h;
    for (var step = 0u; step < MOST_STEPS; step++) {
      let first = step * LANES;
      if (first >= count) { break; }
      firsts[lane] = 0.0;
      seconds[lane] = 0.0;
      if (first + lane < count) {
        let i = start + first + lane;
        let statistic = statistics[i * heads + head];
        let p = exp(params.scale * dotOne(i * params.stride + head * HEAD) - statistic.x);
        var dp = 0.0;
        for (var c = 0u; c < HEAD; c++) { dp += other[c] * dy[i * params.width + head * HEAD + c]; }
        firsts[lane] = p;
        seconds[lane] = p * (dp - statistic.y);
      }
      workgroupBarrier();
      for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        let c = chunk * LANES + lane;
        if (c < HEAD) {
          var dv = 0.0;
          var dk = 0.0;
          for (var n = 0u; n < min(LANES, count - first); n++) {
            let i = start + first + n;
            dv += firsts[n] * dy[i * params.width + head * HEAD + c];
            dk += seconds[n] * qkv[i * params.stride + head * HEAD + c];
          }
          valueSums[chunk] += dv;
          keySums[chunk] += dk;
        }
      }
      workgroupBarrier();
    }
  }
  for (var chunk = 0u; chunk < CHUNKS; chunk++) {
    let c = chunk * LANES + lane;
    if (c < HEAD) {
      dqkv[key + c] = params.scale * keySums[chunk];
      dqkv[value + c] = valueSums[chunk];
    }
  }
}
`,
  { LANES: 64, HEAD: 64, CHUNKS: 1 },
);

/** Sizes of an attention whose gradient is computed. */
export interface AttentionGradientShape {
  /** Sequences or tiles, of `rows` rows each. */
  readonly batches: number;
  readonly rows: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly causal: boolean;
}

/**
 * Gradient of attention without a cache, as in FlashAttention-2 (arXiv 2307.08691, algorithm 2): the probabilities are computed again.
 * qkv `[B·T, (H + 2K)·C]` is queries, keys and values side by side, after the rotation; y and dy `[B·T, H·C]` → dqkv `[B·T, (H + 2K)·C]`. With
 * `P = softmax(q·kᵀ / √C)` and `dS = P ⊙ (dY·vᵀ − rowsum(dY ⊙ Y))`: `dq = dS·k / √C`, `dk = dSᵀ·q / √C`, `dv = Pᵀ·dY`.
 */
export function attentionGradient(qkv: Tensor, y: Tensor, dy: Tensor, shape: AttentionGradientShape): Tensor {
  const { batches, rows, heads, keyValueHeads, headSize } = shape;
  const { device } = qkv;
  const [stride, width] = [(heads + 2 * keyValueHeads) * headSize, heads * headSize];
  qkv.expect([batches * rows, stride], "attention gradient, qkv");
  dy.expect([batches * rows, width], "attention gradient, dy");
  const parameters = {
    rows,
    group: heads / keyValueHeads,
    stride,
    kFirst: width,
    vFirst: width + keyValueHeads * headSize,
    width,
    causal: Number(shape.causal),
    scale: headSize ** -0.5,
  };
  const statistics = device.empty([batches * rows, heads, 2], "f32", "attention statistics");
  const dqkv = device.empty([batches * rows, stride], "f32", "dqkv");
  const grid = (across: number): [number, number] => [across, batches * rows];
  const HEAD = headSize;
  const CHUNKS = Math.ceil(headSize / queryGradientKernel.constants.LANES);
  const pairs = batches * rows * rows * heads;
  const work = (products: number) => ({ flops: 2 * products * pairs * headSize, bytes: qkv.sizeBytes });
  device.run(attentionStatisticsKernel.variant({ HEAD }), { qkv, dy, y, statistics }, parameters, grid(heads), work(1));
  const tensors = { qkv, dy, statistics, dqkv };
  device.run(queryGradientKernel.variant({ HEAD, CHUNKS }), tensors, parameters, grid(heads), work(3));
  device.run(keyGradientKernel.variant({ HEAD, CHUNKS }), tensors, parameters, grid(keyValueHeads), work(4));
  return dqkv;
}
