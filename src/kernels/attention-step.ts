import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/**
 * Attention of one query over the cached keys, or over one KV split of them; called by `attention`, with two more parameters. With
 * several splits this is flash-decoding (Dao et al. 2023, "Flash-Decoding for long-context inference"): splits run in parallel, and
 * `attentionMerge` combines their partial softmax.
 */
export const attentionStepKernel = new Kernel(
  "attentionStep",
  `
struct Params {
  queries: u32, keys: u32, group: u32, causal: u32, firstPosition: u32,
  qStride: u32, qFirst: u32, kStride: u32, kFirst: u32, vStride: u32, vFirst: u32, yStride: u32, scale: f32, splitKeys: u32, splits: u32
}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [1, qStride]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [1, yStride], or the splits
var<workgroup> scores: array<f32, LANES>;

// One workgroup per head and KV split. Lanes score LANES keys, then each lane accumulates the values of its quad.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let qAt = params.qFirst + head * QUADS;
  let kvHead = head / params.group * QUADS;
  var seen = params.keys;
  if (params.causal == 1u) { seen = min(params.keys, params.firstPosition + 1u); }
  seen = min(seen, (group.x + 1u) * params.splitKeys);
  var acc = vec4f();
  var largest = -1e30;
  var sum = 0.0;
  for (var first = group.x * params.splitKeys; first < seen; first += LANES) {
    let key = first + lane;
    var score = -1e30;
    if (key < seen) {
      let kAt = key * params.kStride + params.kFirst + kvHead;
      score = 0.0;
      for (var c = 0u; c < QUADS; c++) { score += dot(q[qAt + c] * params.scale, keyAt(kAt + c)); }
    }
    scores[lane] = score;
    workgroupBarrier();
    var m = largest;
    for (var j = 0u; j < LANES; j++) { m = max(m, scores[j]); }
    let decay = exp(largest - m);
    largest = m;
    sum *= decay;
    acc *= decay;
    let count = min(LANES, seen - first);
    let vAt = first * params.vStride + params.vFirst + kvHead + min(lane, QUADS - 1u);
    for (var j = 0u; j < count; j++) {
      let p = exp(scores[j] - m);
      sum += p;
      acc += p * valueAt(vAt + j * params.vStride);
    }
    workgroupBarrier();
  }
  if (SPLIT == 0u) {
    if (lane < QUADS) { y[head * QUADS + lane] = acc / sum; }
    return;
  }
  let at = (head * params.splits + group.x) * (QUADS + 1u);
  if (lane < QUADS) { y[at + lane] = acc; }
  if (lane == 0u) { y[at + QUADS] = vec4f(largest, sum, 0.0, 0.0); }
}
`,
  { LANES: 32, QUADS: 16, SPLIT: 0 },
);

/**
 * Merges the KV splits of a head, each an unnormalised output a with its maximum score m and sum of exponentials l:
 * `y = Σ exp(mᵢ − max m)·aᵢ / Σ exp(mᵢ − max m)·lᵢ`.
 */
export const attentionMergeKernel = new Kernel(
  "attentionMerge",
  `
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read> splits: array<vec4f>;    // [heads, count, QUADS + 1]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;  // [heads, QUADS]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  if (lane >= QUADS) { return; }
  let first = head * params.count * (QUADS + 1u);
  var largest = -1e30;
  for (var i = 0u; i < params.count; i++) { largest = max(largest, splits[first + i * (QUADS + 1u) + QUADS].x); }
  var acc = vec4f();
  var sum = 0.0;
  for (var i = 0u; i < params.count; i++) {
    let at = first + i * (QUADS + 1u);
    let weight = exp(splits[at + QUADS].x - largest);
    acc += weight * splits[at + lane];
    sum += weight * splits[at + QUADS].y;
  }
  y[head * QUADS + lane] = acc / sum;
}
`,
  { LANES: 32, QUADS: 16 },
);

/**
 * Runs `attentionStep` with the keys in at most `most` KV splits, each a multiple of LANES, and merges them; `loaders` read k
 * and v.
 */
export function attentionStep(
  tensors: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor; readonly y: Tensor },
  parameters: Readonly<Record<string, number>> & { readonly keys: number },
  loaders: readonly string[],
  QUADS: number,
  most: number,
): void {
  const { y } = tensors;
  const { device } = y;
  const heads = y.size(-1) / (4 * QUADS);
  const { LANES } = attentionStepKernel.constants;
  const splitKeys = Math.ceil(parameters.keys / LANES / most) * LANES;
  const count = Math.ceil(parameters.keys / splitKeys);
  const kernel = attentionStepKernel.variant({ QUADS, SPLIT: count > 1 ? 1 : 0 }, ...loaders);
  if (count === 1) {
    device.run(kernel, tensors, { ...parameters, splitKeys, splits: 1 }, [1, heads]);
    return;
  }
  device.scope(() => {
    const splits = device.empty([heads, count, QUADS + 1, 4], "f32", "splits");
    device.run(kernel, { ...tensors, y: splits }, { ...parameters, splitKeys, splits: count }, [count, heads]);
    device.run(attentionMergeKernel.variant({ QUADS }), { splits, y }, { count }, [heads]);
  });
}
