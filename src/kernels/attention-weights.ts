import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import type { HeadColumns } from "./attention.js";
import { type BlockTable, KEYS_OF } from "./kv-blocks.js";
import { cacheTypeOf, LOAD_KEYS } from "./kv-format.js";

/** Attention weights of one query: softmax(q·kᵀ/√C). Used for attention maps only, so it is not optimised. */
export const attentionWeightsKernel = new Kernel(
  "attentionWeights",
  `
struct Params { keys: u32, firstPosition: u32, group: u32, qFirst: u32, kStride: u32, kFirst: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [1, heads * QUADS]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [heads, keys]
var<workgroup> partial: array<f32, LANES>;
// More than any cache has; constant bounds prove that loops end.
const MOST_STEPS = 65536u;

// One workgroup per head: scores and their maximum, then exponentials and their sum, then normalisation.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let qAt = params.qFirst + group.x * QUADS;
  let kAt = params.kFirst + group.x / params.group * QUADS;
  let yAt = group.x * params.keys;
  var largest = -1e30;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let key = step * LANES + lane;
    if (key >= params.keys) { break; }
    let at = (key + rowsBefore(0u, key)) * params.kStride + kAt;
    var score = 0.0;
    for (var c = 0u; c < QUADS; c++) { score += dot(q[qAt + c] * params.scale, keyAt(at + c)); }
    y[yAt + key] = score;
    largest = max(largest, score);
  }
  partial[lane] = largest;
  workgroupBarrier();
  for (var i = 0u; i < LANES; i++) { largest = max(largest, partial[i]); }
  workgroupBarrier();
  var sum = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let key = step * LANES + lane;
    if (key >= params.keys) { break; }
    let weight = exp(y[yAt + key] - largest);
    y[yAt + key] = weight;
    sum += weight;
  }
  partial[lane] = sum;
  workgroupBarrier();
  sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += partial[i]; }
  for (var step = 0u; step < MOST_STEPS; step++) {
    let key = step * LANES + lane;
    if (key >= params.keys) { break; }
    y[yAt + key] /= sum;
  }
}
`,
  { LANES: 64, QUADS: 16 },
);

/**
 * Returns the attention weights `[heads, keys]` of one query, `[1, H·C]`, over the first `keys` rows of k, or of the sequence whose
 * blocks `table` has; heads share key/value heads evenly.
 */
export function attentionWeights(
  q: HeadColumns,
  k: HeadColumns,
  shape: { keys: number; heads: number; keyValueHeads: number; headSize: number },
  label: string,
  table?: BlockTable,
): Tensor {
  const { keys, heads, keyValueHeads, headSize } = shape;
  const { device } = q.tensor;
  const y = device.empty([heads, keys], "f32", label);
  const kernel = attentionWeightsKernel.variant(
    { QUADS: headSize / 4 },
    LOAD_KEYS[cacheTypeOf(k.tensor, label)],
    KEYS_OF[table?.of ?? "stacked"],
  );
  const parameters = {
    keys,
    firstPosition: 0,
    group: heads / keyValueHeads,
    qFirst: q.first / 4,
    kStride: k.tensor.size(-1) / 4,
    kFirst: k.first / 4,
    scale: headSize ** -0.5,
  };
  const tensors = { q: q.tensor, k: k.tensor, y, ...(table && { table: table.tensor }) };
  device.run(kernel, tensors, parameters, [heads], { bytes: 8 * keys * (heads + keyValueHeads * headSize) });
  return y;
}
