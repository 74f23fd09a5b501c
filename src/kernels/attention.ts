import { ShapeError } from "../base/errors.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { tuned } from "../runtime/tuning.js";
import { attentionBroadcastKernel } from "./attention-broadcast.js";
import { type AttentionPiece, attentionPieces } from "./attention-pieces.js";
import { attentionStep, attentionStepKernel } from "./attention-step.js";
import { cacheTypeOf, LOAD_KEYS, LOAD_VALUES } from "./kv-format.js";
import { KV_SPLIT_KEYS } from "./tunables.js";

/** Queries, keys or values as columns of a matrix: head h is columns `first + h·headSize` to `first + (h + 1)·headSize`. */
export interface HeadColumns {
  readonly tensor: Tensor;
  /** First column of head 0; a multiple of 4. */
  readonly first: number;
}

/** Sizes of an attention operation, and its causal mask. */
export interface AttentionShape {
  /** Independent sequences, stacked by rows. */
  readonly batches: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** A multiple of 4. */
  readonly headSize: number;
  /** Position of query 0 among the keys; query i attends to key j if `j <= causalFrom + i`. Not causal if not given. */
  readonly causalFrom?: number | undefined;
  /**
   * For one query: the maximum number of KV splits that are computed in parallel (flash-decoding); chosen by adapter if not
   * given.
   */
  readonly kvSplits?: number | undefined;
}

/** The maximum number of KV splits where the adapter decides. */
const MAX_KV_SPLITS = 32;

const PARAMS = `
struct Params {
  queries: u32, keys: u32, group: u32, causal: u32, firstPosition: u32,
  qStride: u32, qFirst: u32, kStride: u32, kFirst: u32, vStride: u32, vFirst: u32, yStride: u32, scale: f32
}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [batches * queries, qStride]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [batches * queries, yStride]`;

/** Attention of many queries on GPUs, with the online softmax of FlashAttention-2 (arXiv 2307.08691, algorithm 1); called by `attention`. */
export const attentionKernel = new Kernel(
  "attention",
  `
${PARAMS}

// One lane per query. Eight keys at a time: their scores, then one step of the online softmax, then their values.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.y;
  let firstQuery = group.x * LANES;
  let query = firstQuery + lane;
  let qAt = (group.z * params.queries + min(query, params.queries - 1u)) * params.qStride + params.qFirst + head * QUADS;
  let kvHead = head / params.group * QUADS;
  let kAt = group.z * params.keys * params.kStride + params.kFirst + kvHead;
  let vAt = group.z * params.keys * params.vStride + params.vFirst + kvHead;
  var own: array<vec4f, QUADS>;
  var acc: array<vec4f, QUADS>;
  for (var c = 0u; c < QUADS; c++) { own[c] = q[qAt + c] * params.scale; }
  var seen = params.keys;
  var end = params.keys;
  if (params.causal == 1u) {
    seen = min(params.keys, params.firstPosition + query + 1u);
    end = min(params.keys, params.firstPosition + firstQuery + LANES);
  }
  var largest = -1e30;
  var sum = 0.0;
  let last = params.keys - 1u;
  for (var j = 0u; j < end; j += 8u) {
    let a = vec4u(j, min(j + 1u, last), min(j + 2u, last), min(j + 3u, last));
    let b = min(vec4u(j + 4u, j + 5u, j + 6u, j + 7u), vec4u(last));
    let ka = a * params.kStride + kAt;
    let kb = b * params.kStride + kAt;
    var sa = vec4f();
    var sb = vec4f();
    for (var c = 0u; c < QUADS; c++) {
      let e = own[c];
      sa += vec4f(dot(e, keyAt(ka.x + c)), dot(e, keyAt(ka.y + c)), dot(e, keyAt(ka.z + c)), dot(e, keyAt(ka.w + c)));
      sb += vec4f(dot(e, keyAt(kb.x + c)), dot(e, keyAt(kb.y + c)), dot(e, keyAt(kb.z + c)), dot(e, keyAt(kb.w + c)));
    }
    sa = select(sa, vec4f(-1e30), vec4u(j, j + 1u, j + 2u, j + 3u) >= vec4u(seen));
    sb = select(sb, vec4f(-1e30), vec4u(j + 4u, j + 5u, j + 6u, j + 7u) >= vec4u(seen));
    let m4 = max(sa, sb);
    let m = max(largest, max(max(m4.x, m4.y), max(m4.z, m4.w)));
    let decay = exp(largest - m);
    let pa = exp(sa - m);
    let pb = exp(sb - m);
    largest = m;
    sum = sum * decay + dot(pa, vec4f(1.0)) + dot(pb, vec4f(1.0));
    let va = a * params.vStride + vAt;
    let vb = b * params.vStride + vAt;
    for (var c = 0u; c < QUADS; c++) {
      acc[c] = acc[c] * decay
        + pa.x * valueAt(va.x + c) + pa.y * valueAt(va.y + c) + pa.z * valueAt(va.z + c) + pa.w * valueAt(va.w + c)
        + pb.x * valueAt(vb.x + c) + pb.y * valueAt(vb.y + c) + pb.z * valueAt(vb.z + c) + pb.w * valueAt(vb.w + c);
    }
  }
  if (query >= params.queries) { return; }
  let yAt = (group.z * params.queries + query) * params.yStride + head * QUADS;
  for (var c = 0u; c < QUADS; c++) { y[yAt + c] = acc[c] / sum; }
}
`,
  { LANES: 32, QUADS: 16 },
);

/**
 * Scaled dot-product attention `softmax(q·kᵀ / √C [, causal])·v` for every head. The softmax is computed online over tiles of keys as
 * in FlashAttention-2 (arXiv 2307.08691), so no score matrix is stored. Query head h reads key/value head
 * `h / (heads / keyValueHeads)` (grouped-query attention, arXiv 2305.13245). q `[batches·queries, …]` f32; k and v
 * `[≥ batches·keys, …]`, f32 or in a KV-cache format; result `[batches·queries, heads·headSize]` f32.
 * Throws ShapeError for sizes that do not fit.
 */
export function attention(
  q: HeadColumns,
  k: HeadColumns,
  v: HeadColumns,
  shape: AttentionShape,
  label: string,
): Tensor {
  const { batches, queries, keys, heads, headSize } = shape;
  const { device } = q.tensor;
  const quads = headSize / 4;
  if (!Number.isInteger(quads) || heads % shape.keyValueHeads !== 0) {
    throw new ShapeError({
      where: label,
      expected: "a head size that is a multiple of 4 and heads that share key/value heads evenly",
      got: `head size ${headSize}, ${heads} heads over ${shape.keyValueHeads}`,
      remedy: "check the configuration",
    });
  }
  const y = device.empty([batches * queries, heads * headSize], "f32", label);
  const loaders = [LOAD_KEYS[cacheTypeOf(k.tensor, label)], LOAD_VALUES[cacheTypeOf(v.tensor, label)]];
  const tensors = { q: q.tensor, k: k.tensor, v: v.tensor, y };
  const parameters = {
    queries,
    keys,
    group: heads / shape.keyValueHeads,
    causal: shape.causalFrom === undefined ? 0 : 1,
    firstPosition: shape.causalFrom ?? 0,
    qStride: q.tensor.size(-1) / 4,
    qFirst: q.first / 4,
    kStride: k.tensor.size(-1) / 4,
    kFirst: k.first / 4,
    vStride: v.tensor.size(-1) / 4,
    vFirst: v.first / 4,
    yStride: (heads * headSize) / 4,
    scale: headSize ** -0.5,
  };
  const chosen = choose(shape, device.facts);
  if ("kvSplits" in chosen) attentionStep(tensors, parameters, loaders, quads, chosen.kvSplits);
  else {
    const kernel = chosen.kernel.variant({}, ...loaders);
    for (const piece of attentionPieces({ tensors, parameters }, shape, device.budget))
      device.run(kernel, piece.tensors, piece.parameters, chosen.grid(piece), piece.work);
  }
  return y;
}

/** The workgroups of a dispatch. */
type GridOf = (piece: AttentionPiece) => readonly [number, number, number];

/** Chooses the algorithm by shape and adapter: a kernel and its grid, or `attentionStep` with a number of KV splits. */
function choose(shape: AttentionShape, facts: AdapterFacts): { kernel: Kernel; grid: GridOf } | { kvSplits: number } {
  const { batches, queries, heads, keyValueHeads } = shape;
  const QUADS = shape.headSize / 4;
  if (facts.broadcastLanes) {
    const rows = queries * (heads / keyValueHeads);
    const kernel = attentionBroadcastKernel.variant({ QUADS, LANES: facts.broadcastLanes, ROWS: rows <= 8 ? 8 : 16 });
    const { ROWS } = kernel.constants;
    return {
      kernel,
      grid: ({ parameters: { queries, group }, heads, batches }) => [
        Math.ceil((queries * group) / ROWS),
        heads / group,
        batches,
      ],
    };
  }
  if (queries === 1 && batches === 1 && QUADS <= attentionStepKernel.constants.LANES) {
    // One workgroup per head leaves most of a GPU idle; a CPU adapter's few cores are busy with the heads alone.
    const fitting = facts.onCPU
      ? 1
      : Math.min(MAX_KV_SPLITS, Math.ceil(shape.keys / tuned(facts.tuning, KV_SPLIT_KEYS)));
    return { kvSplits: shape.kvSplits ?? fitting };
  }
  const { LANES } = attentionKernel.constants;
  const grid: GridOf = (piece) => [Math.ceil(piece.parameters.queries / LANES), piece.heads, piece.batches];
  return { kernel: attentionKernel.variant({ QUADS }), grid };
}
