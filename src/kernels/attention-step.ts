import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { type BlockTable, COUNT_OF, KEYS_OF, type SequenceTables, SPLITS_OF } from "./kv-blocks.js";
import { type KVSplits, MOST_SPLITS, STEP_LANES } from "./kv-splits.js";

/**
 * Attention of one query of each sequence over its cached keys, or over one KV split of them; called by `attention`, with two more
 * parameters, and by `rotatedAttention`. With several splits this is flash-decoding (Dao et al. 2023, "Flash-Decoding for long-context
 * inference"): splits run in parallel, and `attentionMerge` combines their partial softmax.
 *
 * A workgroup computes HEADS query heads that share a key/value head, so that keys and values are read once for all of them.
 * LANES keys at a time: each lane scores one key for every head; then it owns a quad of the values, of every PARTS-th key.
 */
export const attentionStepKernel = new Kernel(
  "attentionStep",
  `
struct Params {
  queries: u32, keys: u32, group: u32, causal: u32, firstPosition: u32,
  qStride: u32, qFirst: u32, kStride: u32, kFirst: u32, vStride: u32, vFirst: u32, yStride: u32, scale: f32, splitKeys: u32, splits: u32, kvQuads: u32
}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [sequences, qStride]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [sequences, yStride], or the splits

const PARTS = LANES / QUADS;
const STAGES = (HEADS * QUADS + LANES - 1u) / LANES;
const REDUCERS = 8u;  // lanes per head that reduce scores
// More than any cache has; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;

var<workgroup> queries: array<vec4f, HEADS * QUADS>;  // scaled
var<workgroup> scores: array<f32, HEADS * LANES>;     // of the keys, then their probabilities
var<workgroup> partial: array<f32, HEADS * REDUCERS>;
var<workgroup> quadsOfLanes: array<vec4f, LANES>;     // outputs of one head; before, the key and value that are appended

// The sum or maximum over the lanes' numbers of each head, in scores, is in all of a head's partial numbers.
fn reduceScores(lane: u32, isSum: bool) {
  workgroupBarrier();
  if (lane < HEADS * REDUCERS) {
    let first = lane / REDUCERS * LANES + lane % REDUCERS;
    var own = scores[first];
    for (var i = 1u; i < LANES / REDUCERS; i++) {
      let other = scores[first + i * REDUCERS];
      own = select(max(own, other), own + other, isSum);
    }
    partial[lane] = own;
  }
  workgroupBarrier();
}

fn reduced(head: u32, isSum: bool) -> f32 {
  var all = partial[head * REDUCERS];
  for (var i = 1u; i < REDUCERS; i++) {
    let other = partial[head * REDUCERS + i];
    all = select(max(all, other), all + other, isSum);
  }
  return all;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let sequence = group.z;
  // Others may have more splits.
  if (group.x >= splitsOf(sequence)) { return; }
  let firstHead = group.y * HEADS;
  // Of the result: sequences have all heads, one after the other.
  let yHead = sequence * (params.yStride / QUADS) + firstHead;
  let kvHead = firstHead / params.group;
  for (var step = 0u; step < STAGES; step++) {
    let i = step * LANES + lane;
    if (i < HEADS * QUADS) { queries[i] = queryAt(sequence, firstHead * QUADS + i) * params.scale; }
  }
  append(sequence, group.x, kvHead, lane);
  workgroupBarrier();
  var seen = keysOf(sequence);
  if (params.causal == 1u) { seen = min(seen, positionOf(sequence) + 1u); }
  let splitKeys = splitKeysOf(sequence);
  seen = min(seen, (group.x + 1u) * splitKeys);
  let last = seen - 1u;
  let kAt = params.kFirst + kvHead * QUADS;
  let vAt = params.vFirst + kvHead * QUADS + lane % QUADS;
  var acc: array<vec4f, HEADS>;
  var sums: array<f32, HEADS>;
  var largest: array<f32, HEADS>;
  for (var h = 0u; h < HEADS; h++) { largest[h] = -1e30; }
  for (var step = 0u; step < MOST_STEPS; step++) {
    let first = group.x * splitKeys + step * LANES;
    if (first >= seen) { break; }
    let before = rowsBefore(sequence, first);
    let key = (min(first + lane, last) + before) * params.kStride + kAt;
    // Given a value, since some compilers clear a variable of a loop only once.
    var own = array<f32, HEADS>();
    // Not a constant bound: unrolled, this takes all registers.
    let quads = min(QUADS, params.kStride);
    for (var c = 0u; c < QUADS; c++) {
      if (c >= quads) { break; }
      let e = keyAt(key + c);
      for (var h = 0u; h < HEADS; h++) { own[h] += dot(queries[h * QUADS + c], e); }
    }
    for (var h = 0u; h < HEADS; h++) { scores[h * LANES + lane] = select(-1e30, own[h], first + lane < seen); }
    reduceScores(lane, false);
    for (var h = 0u; h < HEADS; h++) {
      let m = max(largest[h], reduced(h, false));
      let p = exp(select(-1e30, own[h], first + lane < seen) - m);
      let decay = exp(largest[h] - m);
      largest[h] = m;
      sums[h] = sums[h] * decay + p;
      acc[h] *= decay;
      scores[h * LANES + lane] = p;
    }
    workgroupBarrier();
    for (var i = 0u; i < LANES / PARTS; i++) {
      let j = i * PARTS + lane / QUADS;
      if (lane < PARTS * QUADS) {
        let v = valueAt((min(first + j, last) + before) * params.vStride + vAt);
        for (var h = 0u; h < HEADS; h++) { acc[h] += scores[h * LANES + j] * v; }
      }
    }
    workgroupBarrier();
  }
  for (var h = 0u; h < HEADS; h++) { scores[h * LANES + lane] = sums[h]; }
  if (SPLIT == 1u && lane == 0u) {
    for (var h = 0u; h < HEADS; h++) { y[((yHead + h) * params.splits + group.x) * (QUADS + 1u) + QUADS].x = largest[h]; }
  }
  reduceScores(lane, true);
  // One head at a time: with workgroup memory for all of them, few workgroups fit a GPU's core.
  for (var h = 0u; h < HEADS; h++) {
    quadsOfLanes[lane] = acc[h];
    workgroupBarrier();
    if (lane < QUADS) {
      var output = quadsOfLanes[lane];
      for (var part = 1u; part < PARTS; part++) { output += quadsOfLanes[part * QUADS + lane]; }
      let sum = reduced(h, true);
      if (SPLIT == 0u) {
        y[(yHead + h) * QUADS + lane] = output / sum;
      } else {
        let at = ((yHead + h) * params.splits + group.x) * (QUADS + 1u);
        y[at + lane] = output;
        if (lane == 0u) { y[at + QUADS].y = sum; }
      }
    }
    workgroupBarrier();
  }
}
`,
  { LANES: STEP_LANES, QUADS: 16, HEADS: 1, SPLIT: 0 },
);

/** WGSL of the query where it is rotated already, and the cache complete. */
export const READY = `
fn queryAt(sequence: u32, quad: u32) -> vec4f { return q[sequence * params.qStride + params.qFirst + quad]; }
fn append(sequence: u32, split: u32, kvHead: u32, lane: u32) {}`;

/**
 * WGSL of the query where q is a row of queries, keys and values before RoPE, and the cache lacks the last key: `queryAt` rotates,
 * and the workgroup of the last split appends the rotated key and the value of its head.
 */
export const ROTATING = `
@group(0) @binding(4) var<storage, read> cosines: array<vec4f>;  // [positions, QUADS / 2]
@group(0) @binding(5) var<storage, read> sines: array<vec4f>;    // [positions, QUADS / 2]

fn queryAt(sequence: u32, quad: u32) -> vec4f {
  const HALF = QUADS / 2u;
  let c = quad % QUADS;
  let at = sequence * params.qStride + quad;
  let angle = (keysOf(sequence) - 1u) * HALF + c % HALF;
  let scaled = q[at] * cosines[angle];
  if (c < HALF) { return scaled - q[at + HALF] * sines[angle]; }
  return scaled + q[at - HALF] * sines[angle];
}

fn append(sequence: u32, split: u32, kvHead: u32, lane: u32) {
  if (split + 1u < splitsOf(sequence)) { return; }
  const SPANS = QUADS / SPAN;
  // Rotated a quad per lane first: in the registers of one lane, the quads of a span and their partners are too many.
  if (lane < QUADS) { quadsOfLanes[lane] = queryAt(sequence, params.yStride + kvHead * QUADS + lane); }
  // Behind the queries come the keys, then the values.
  else if (lane < 2u * QUADS) { quadsOfLanes[lane] = q[sequence * params.qStride + params.yStride + params.kvQuads + kvHead * QUADS + lane - QUADS]; }
  workgroupBarrier();
  if (lane < 2u * SPANS) {
    var quads: array<vec4f, SPAN>;
    for (var j = 0u; j < SPAN; j++) { quads[j] = quadsOfLanes[lane * SPAN + j]; }
    let first = kvHead * QUADS + lane % SPANS * SPAN;
    let row = keysOf(sequence) - 1u + rowsBefore(sequence, keysOf(sequence) - 1u);
    if (lane < SPANS) { storeKeys(row * params.kStride + first, quads); }
    else { storeValues(row * params.vStride + first, quads); }
  }
  storageBarrier();
}`;

/**
 * Merges the KV splits of a head, each an unnormalised output a with its maximum score m and sum of exponentials l:
 * `y = Σ exp(mᵢ − max m)·aᵢ / Σ exp(mᵢ − max m)·lᵢ`.
 */
export const attentionMergeKernel = new Kernel(
  "attentionMerge",
  `
struct Params { count: u32, heads: u32 }
@group(0) @binding(0) var<storage, read> splits: array<vec4f>;    // [sequences, heads, count, QUADS + 1]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;  // [sequences, heads, QUADS]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.y * params.heads + group.x;
  let count = countOf(group.y);
  if (lane >= QUADS) { return; }
  let first = head * params.count * (QUADS + 1u);
  var largest = -1e30;
  for (var i = 0u; i < MOST_SPLITS; i++) {
    if (i >= count) { break; }
    largest = max(largest, splits[first + i * (QUADS + 1u) + QUADS].x);
  }
  var acc = vec4f();
  var sum = 0.0;
  for (var i = 0u; i < MOST_SPLITS; i++) {
    if (i >= count) { break; }
    let at = first + i * (QUADS + 1u);
    let weight = exp(splits[at + QUADS].x - largest);
    acc += weight * splits[at + lane];
    sum += weight * splits[at + QUADS].y;
  }
  y[head * QUADS + lane] = acc / sum;
}
`,
  { LANES: 32, QUADS: 16, MOST_SPLITS },
);

/** Sizes of a step: one query of `heads` heads of QUADS quads over `keyValueHeads` key/value heads. */
export interface StepSizes {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly QUADS: number;
}

/** Heads whose scores a workgroup has memory and registers for. */
const MOST_HEADS = 8;

/** Query heads that one workgroup computes: as many of those that share a key/value head as it can. */
export function headsPerWorkgroup({ heads, keyValueHeads }: StepSizes): number {
  const group = heads / keyValueHeads;
  let HEADS = Math.min(group, MOST_HEADS);
  while (group % HEADS !== 0) HEADS--;
  return HEADS;
}

/** Tensors of a step; with `cosines` and `sines` it rotates and appends ({@link ROTATING}). */
export interface StepTensors {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly y: Tensor;
  readonly cosines?: Tensor;
  readonly sines?: Tensor;
}

/**
 * Runs `attentionStep` over KV splits, each a multiple of LANES, and merges them; `header` has the functions that read k, v and the query.
 * `table` says where the rows of k and v are: one after the other if not given.
 */
export function attentionStep(
  tensors: StepTensors,
  parameters: Readonly<Record<string, number>> & { readonly keys: number },
  header: readonly string[],
  sizes: StepSizes,
  { splitKeys, count }: KVSplits,
  table?: BlockTable | SequenceTables,
): void {
  const { y } = tensors;
  const { device } = y;
  const { QUADS, heads } = sizes;
  const HEADS = headsPerWorkgroup(sizes);
  const sequences = table && "count" in table ? table.count : 1;
  const isOne = table?.of !== "several";
  const kernel = attentionStepKernel.variant(
    { QUADS, HEADS, SPLIT: count > 1 ? 1 : 0 },
    ...header,
    KEYS_OF[table?.of ?? "stacked"],
    SPLITS_OF[isOne ? "one" : "several"],
  );
  const grid = [count, heads / HEADS, sequences] as const;
  // The keys and values so far; the cache may have room for many more.
  const work = { bytes: sequences * (8 * parameters.keys * sizes.keyValueHeads + 8 * heads) * 4 * QUADS };
  const bound = { ...tensors, ...(table && { table: table.tensor }) };
  if (count === 1) {
    device.run(kernel, bound, { ...parameters, splitKeys, splits: 1 }, grid, work);
    return;
  }
  device.scope(() => {
    const splits = device.empty([sequences * heads, count, QUADS + 1, 4], "f32", "splits");
    device.run(kernel, { ...bound, y: splits }, { ...parameters, splitKeys, splits: count }, grid, work);
    device.run(
      attentionMergeKernel.variant({ QUADS }, COUNT_OF[isOne ? "one" : "several"]),
      { splits, y, ...(!isOne && { table: table.tensor }) },
      { count, heads },
      [heads, sequences],
    );
  });
}
