import { ShapeError } from "../base/errors.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { attentionBroadcastKernel } from "./attention-broadcast.js";
import { type AttentionPiece, type AttentionSizes, attentionPieces } from "./attention-pieces.js";
import { attentionStep, READY } from "./attention-step.js";
import { type BlockTable, KEYS_OF, type SequenceTables } from "./kv-blocks.js";
import { cacheTypeOf, LOAD_KEYS, LOAD_VALUES } from "./kv-format.js";
import { type KVSplits, splitsFor } from "./kv-splits.js";

/** Queries, keys or values as columns of a matrix: head h is columns `first + h·headSize` to `first + (h + 1)·headSize`. */
export interface HeadColumns {
  readonly tensor: Tensor;
  /** First column of head 0; a multiple of 4. */
  readonly first: number;
}

/** Sizes of an attention operation, its causal mask and its KV splits. */
export interface AttentionShape extends AttentionSizes {
  /**
   * For one query: the maximum number of KV splits that are computed in parallel (flash-decoding); chosen by adapter if not
   * given.
   */
  readonly kvSplits?: number | undefined;
  /**
   * Where the rows of k and v are. Without it, those of the sequences follow each other. Of several sequences, each has one query, and as
   * many keys as the table says.
   */
  readonly table?: BlockTable | SequenceTables | undefined;
}

const PARAMS = `
struct Params {
  queries: u32, keys: u32, group: u32, causal: u32, firstPosition: u32,
  qStride: u32, qFirst: u32, kStride: u32, kFirst: u32, vStride: u32, vFirst: u32, yStride: u32, scale: f32
}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [batches * queries, qStride]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [batches * queries, yStride]`;

/**
 * Attention of many queries on GPUs, with the online softmax of FlashAttention-2 (arXiv 2307.08691, algorithm 1); called by `attention`.
 *
 * A workgroup computes ROWS · THREADS_Y queries of a head, KEYS keys at a time. Scores: queries and keys are staged in workgroup
 * memory CHUNK quads at a time, and a thread accumulates ROWS queries by four keys in registers. Outputs: the values are staged
 * likewise, and a thread accumulates the same ROWS queries by one quad of every chunk.
 */
export const attentionKernel = new Kernel(
  "attention",
  `
${PARAMS}

const THREADS_X = 8u;
const THREADS_Y = THREADS / THREADS_X;
const QUERIES = ROWS * THREADS_Y;
const KEYS = 4u * THREADS_X;
const CHUNKS = QUADS / CHUNK;
// Whether the threads do not divide a chunk evenly.
const RAGGED = CHUNK * QUERIES % THREADS != 0u || CHUNK * KEYS % THREADS != 0u;
// More than any cache has; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;

var<workgroup> qs: array<vec4f, CHUNK * QUERIES>;            // [quad, query]
var<workgroup> kvs: array<vec4f, CHUNK * KEYS>;              // keys [quad, key], then values [key, quad]
var<workgroup> probabilities: array<Rows, KEYS * THREADS_Y>;    // [key, query]
var<workgroup> reductions: array<Rows, THREADS_X * THREADS_Y>;  // [thread, query]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  let firstQuery = group.x * QUERIES;
  let tx = thread % THREADS_X;
  let ty = thread / THREADS_X;
  let own = ty * ROWS;  // the thread's first query
  let qAt = group.z * params.queries * params.qStride + params.qFirst + head * QUADS;
  let kvHead = head / params.group * QUADS;
  let kAt = params.kFirst + kvHead;
  let vAt = params.vFirst + kvHead;
  let count = keysOf(group.z);
  let position = positionOf(group.z);
  var end = count;
  if (params.causal == 1u) { end = min(end, position + firstQuery + QUERIES); }
  var acc: array<vec4f, CHUNKS * ROWS>;
  var largest = Rows(-1e30);
  var sums = Rows(0.0);
  for (var step = 0u; step < MOST_STEPS; step++) {
    let first = step * KEYS;
    if (first >= end) { break; }
    let before = rowsBefore(group.z, first);
    var s = array<vec4f, ROWS>();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      for (var part = 0u; part < (CHUNK * QUERIES + THREADS - 1u) / THREADS; part++) {
        let i = part * THREADS + thread;
        if (RAGGED && i >= CHUNK * QUERIES) { break; }
        let query = min(firstQuery + i / CHUNK, params.queries - 1u);
        qs[i % CHUNK * QUERIES + i / CHUNK] = q[qAt + query * params.qStride + chunk * CHUNK + i % CHUNK] * params.scale;
      }
      for (var part = 0u; part < (CHUNK * KEYS + THREADS - 1u) / THREADS; part++) {
        let i = part * THREADS + thread;
        if (RAGGED && i >= CHUNK * KEYS) { break; }
        let key = min(first + i / CHUNK, count - 1u) + before;
        kvs[i % CHUNK * KEYS + i / CHUNK] = keyAt(kAt + key * params.kStride + chunk * CHUNK + i % CHUNK);
      }
      workgroupBarrier();
      for (var c = 0u; c < CHUNK; c++) {
        let at = c * KEYS + tx;
        let k0 = kvs[at];
        let k1 = kvs[at + THREADS_X];
        let k2 = kvs[at + 2u * THREADS_X];
        let k3 = kvs[at + 3u * THREADS_X];
        for (var r = 0u; r < ROWS; r++) {
          let e = qs[c * QUERIES + own + r];
          s[r] += vec4f(dot(e, k0), dot(e, k1), dot(e, k2), dot(e, k3));
        }
      }
      workgroupBarrier();
    }
    // The online softmax: of a query, the eight threads of a row have four keys each.
    let keys = first + tx + vec4u(0u, THREADS_X, 2u * THREADS_X, 3u * THREADS_X);
    var m = largest;
    for (var r = 0u; r < ROWS; r++) {
      var seen = count;
      if (params.causal == 1u) { seen = min(seen, position + firstQuery + own + r + 1u); }
      s[r] = select(s[r], vec4f(-1e30), keys >= vec4u(seen));
      m[r] = max(max(s[r].x, s[r].y), max(s[r].z, s[r].w));
    }
    reductions[tx * THREADS_Y + ty] = m;
    workgroupBarrier();
    m = largest;
    for (var t = 0u; t < THREADS_X; t++) { m = max(m, reductions[t * THREADS_Y + ty]); }
    let decay = exp(largest - m);
    largest = m;
    for (var r = 0u; r < ROWS; r++) {
      s[r] = exp(s[r] - m[r]);
      sums[r] = sums[r] * decay[r] + dot(s[r], vec4f(1.0));
      for (var chunk = 0u; chunk < CHUNKS; chunk++) { acc[chunk * ROWS + r] *= decay[r]; }
    }
    for (var i = 0u; i < 4u; i++) {
      var p = Rows();
      for (var r = 0u; r < ROWS; r++) { p[r] = s[r][i]; }
      probabilities[(tx + i * THREADS_X) * THREADS_Y + ty] = p;
    }
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      workgroupBarrier();
      for (var part = 0u; part < (CHUNK * KEYS + THREADS - 1u) / THREADS; part++) {
        let i = part * THREADS + thread;
        if (RAGGED && i >= CHUNK * KEYS) { break; }
        let key = min(first + i / CHUNK, count - 1u) + before;
        kvs[i] = valueAt(vAt + key * params.vStride + chunk * CHUNK + i % CHUNK);
      }
      workgroupBarrier();
      // Threads past the last quad repeat it.
      let quad = min(tx, CHUNK - 1u);
      for (var j = 0u; j < KEYS; j++) {
        let v = kvs[j * CHUNK + quad];
        let p = probabilities[j * THREADS_Y + ty];
        for (var r = 0u; r < ROWS; r++) { acc[chunk * ROWS + r] += p[r] * v; }
      }
    }
    workgroupBarrier();
  }
  reductions[tx * THREADS_Y + ty] = sums;
  workgroupBarrier();
  sums = Rows(0.0);
  for (var t = 0u; t < THREADS_X; t++) { sums += reductions[t * THREADS_Y + ty]; }
  for (var r = 0u; r < ROWS; r++) {
    let query = firstQuery + own + r;
    if (query < params.queries && tx < CHUNK) {
      let yAt = (group.z * params.queries + query) * params.yStride + head * QUADS + tx;
      for (var chunk = 0u; chunk < CHUNKS; chunk++) { y[yAt + chunk * CHUNK] = acc[chunk * ROWS + r] / sums[r]; }
    }
  }
}
`,
  { THREADS: 128, ROWS: 2, QUADS: 16, CHUNK: 8 },
);

/**
 * Returns the variant of {@link attentionKernel} for heads of QUADS quads, without the functions that read k and v: chunks that divide
 * a head. Two rows per thread leave a GPU registers for more subgroups; a CPU loads less for four, while their outputs are few.
 */
function tiled(QUADS: number, onCPU: boolean): Kernel<(typeof attentionKernel)["constants"]> {
  let CHUNK = 8;
  while (QUADS % CHUNK !== 0) CHUNK--;
  const ROWS = onCPU && QUADS / CHUNK <= 3 ? 4 : 2;
  return attentionKernel.variant({ QUADS, CHUNK, ROWS, THREADS: 256 / ROWS }, `alias Rows = vec${ROWS}f;`);
}

/**
 * Scaled dot-product attention `softmax(q·kᵀ / √C [, causal])·v` for every head. The softmax is computed online over tiles of keys as
 * in FlashAttention-2 (arXiv 2307.08691), so no score matrix is stored. Query head h reads key/value head
 * `h / (heads / keyValueHeads)` (grouped-query attention, arXiv 2305.13245). q `[batches·queries, …]` f32; k and v
 * `[≥ batches·keys, …]`, f32 or in a KV-cache format; result `[batches·queries, heads·headSize]` f32, or `into`.
 * Throws ShapeError for sizes that do not fit.
 */
export function attention(
  q: HeadColumns,
  k: HeadColumns,
  v: HeadColumns,
  shape: AttentionShape,
  label: string,
  into?: Tensor,
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
  const size = [batches * queries, heads * headSize];
  const y = into?.expect(size, label) ?? device.empty(size, "f32", label);
  const { table } = shape;
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
  if ("splits" in chosen) {
    const sizes = { heads, keyValueHeads: shape.keyValueHeads, QUADS: quads };
    attentionStep(tensors, { ...parameters, kvQuads: 0 }, [...loaders, READY], sizes, chosen.splits, table);
  } else {
    const kernel = chosen.kernel.variant({}, ...loaders, KEYS_OF[table?.of ?? "stacked"]);
    for (const piece of attentionPieces({ tensors, parameters }, shape, device.budget)) {
      const bound = { ...piece.tensors, ...(table && { table: table.tensor }) };
      device.run(kernel, bound, piece.parameters, chosen.grid(piece), piece.work);
    }
  }
  return y;
}

/** From this many keys on, attention takes longer than compiling a longer shader. */
const MANY_KEYS = 512;

/** The widest head of `attentionStep`, in quads. */
const STEP_QUADS = 32;

/** The workgroups of a dispatch. */
type GridOf = (piece: AttentionPiece) => readonly [number, number, number];

/** Chooses the algorithm by shape and adapter: a kernel and its grid, or `attentionStep` with KV splits. */
function choose(shape: AttentionShape, facts: AdapterFacts): { kernel: Kernel; grid: GridOf } | { splits: KVSplits } {
  const { batches, queries, heads, keyValueHeads } = shape;
  const QUADS = shape.headSize / 4;
  if (facts.broadcastLanes) {
    const rows = queries * (heads / keyValueHeads);
    const UNROLLED = shape.keys >= MANY_KEYS ? 1 : 0;
    const kernel = attentionBroadcastKernel.variant({
      QUADS,
      LANES: facts.broadcastLanes,
      ROWS: rows <= 8 ? 8 : 16,
      UNROLLED,
    });
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
  if (queries === 1 && (batches === 1 || shape.table) && QUADS <= STEP_QUADS) {
    const { table } = shape;
    if (table && "count" in table) return { splits: { splitKeys: 0, count: table.splits } };
    return { splits: splitsFor(shape.keys, facts, shape.kvSplits) };
  }
  const kernel = tiled(QUADS, facts.onCPU);
  const rows = (kernel.constants.ROWS * kernel.constants.THREADS) / 8;
  const grid: GridOf = (piece) => [Math.ceil(piece.parameters.queries / rows), piece.heads, piece.batches];
  return { kernel, grid };
}
