import { Kernel } from "../runtime/kernel.js";

/** Attention of one query over the cached keys; called by `attention`. Parameters as there. */
export const attentionStepKernel = new Kernel(
  "attentionStep",
  `
struct Params {
  queries: u32, keys: u32, group: u32, causal: u32, firstPosition: u32,
  qStride: u32, qFirst: u32, kStride: u32, kFirst: u32, vStride: u32, vFirst: u32, yStride: u32, scale: f32
}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [1, qStride]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [1, yStride]
var<workgroup> scores: array<f32, LANES>;

// A workgroup a head. Lanes score LANES keys, then each lane gathers the values of its quad.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let qAt = params.qFirst + head * QUADS;
  let kvHead = head / params.group * QUADS;
  var seen = params.keys;
  if (params.causal == 1u) { seen = min(params.keys, params.firstPosition + 1u); }
  var acc = vec4f();
  var largest = -1e30;
  var sum = 0.0;
  for (var first = 0u; first < seen; first += LANES) {
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
  if (lane < QUADS) { y[head * QUADS + lane] = acc / sum; }
}
`,
  { LANES: 32, QUADS: 16 },
);
