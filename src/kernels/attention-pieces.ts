import { partStep, type Tensor } from "../runtime/tensor.js";
import { SUBMISSION_MS, type Work, type WorkBudget } from "../runtime/work-budget.js";

/** Sizes of an attention operation, and its causal mask. */
export interface AttentionSizes {
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
}

/** The operands of a dispatch of attention: tensors, and parameters with offsets and strides in quads. */
export interface AttentionOperands {
  readonly tensors: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor; readonly y: Tensor };
  readonly parameters: Readonly<Record<AttentionParameter, number>>;
}

type AttentionParameter =
  | "queries"
  | "keys"
  | "group"
  | "causal"
  | "firstPosition"
  | "qStride"
  | "qFirst"
  | "kStride"
  | "kFirst"
  | "vStride"
  | "vFirst"
  | "yStride"
  | "scale";

/** Sequences, queries and heads of an attention operation that are one dispatch. */
export interface AttentionPiece extends AttentionOperands {
  readonly batches: number;
  readonly heads: number;
  readonly work: Work;
}

/** Attention takes longer than a matrix product of as many operations: it has exponentials, and reuses loaded numbers less. */
const SLOWER_THAN_PRODUCTS = 4;
/** Queries of a piece are a multiple of this, so that workgroups are full. */
const QUERY_STEP = 64;

/**
 * Cuts attention into dispatches, none of which takes longer than a submission may: by sequences, then by queries, then by heads. Each
 * query is computed as in one dispatch. Pieces write parts of y, which begin where bindings may.
 */
export function attentionPieces(
  { tensors, parameters }: AttentionOperands,
  sizes: AttentionSizes,
  budget: WorkBudget,
): AttentionPiece[] {
  const { batches, queries, keys, heads, keyValueHeads, headSize } = sizes;
  const whole = workOf(sizes, batches, 0, queries, heads);
  // One query is short, and a block table does not say how a part of several sequences would be read.
  if (queries === 1 || budget.milliseconds(whole) <= SUBMISSION_MS)
    return [{ tensors, parameters, batches, heads, work: whole }];
  const group = heads / keyValueHeads;
  const width = heads * headSize;
  const quads = headSize / 4;
  // The last queries of a causal mask attend to all keys; the others take no longer.
  const longest = (b: number, q: number, h: number): Work => workOf({ ...sizes, causalFrom: undefined }, b, 0, q, h);
  const sequenceStep = partStep(queries * width * 4);
  const b = multiple(budget.fitting(longest(batches, queries, heads), batches), sequenceStep, batches);
  const q = b === 1 ? multiple(budget.fitting(longest(1, queries, heads), queries), QUERY_STEP, queries) : queries;
  const h = headsOf(budget.fitting(longest(b, q, heads), heads), heads, group, partStep(headSize * 4));
  const pieces: AttentionPiece[] = [];
  for (let batch = 0; batch < batches; batch += b) {
    for (let query = 0; query < queries; query += q) {
      for (let head = 0; head < heads; head += h) {
        const [ownBatches, ownQueries] = [Math.min(b, batches - batch), Math.min(q, queries - query)];
        const row = batch * queries + query;
        const kvQuad = Math.floor(head / group) * quads;
        const first = row * width + head * headSize;
        const length = (ownBatches * ownQueries - 1) * width + h * headSize;
        pieces.push({
          tensors: { ...tensors, y: tensors.y.part(first, [length]) },
          parameters: {
            ...parameters,
            queries: ownQueries,
            group: Math.min(group, h),
            firstPosition: parameters.firstPosition + query,
            qFirst: parameters.qFirst + row * parameters.qStride + head * quads,
            kFirst: parameters.kFirst + batch * keys * parameters.kStride + kvQuad,
            vFirst: parameters.vFirst + batch * keys * parameters.vStride + kvQuad,
          },
          batches: ownBatches,
          heads: h,
          work: workOf(sizes, ownBatches, query, ownQueries, h),
        });
      }
    }
  }
  return pieces;
}

/** Returns the largest multiple of `step` that is at most `fitting`, at least `step`; all if they fit. */
function multiple(fitting: number, step: number, all: number): number {
  return Math.min(all, Math.max(step, Math.floor(fitting / step) * step));
}

/**
 * Returns the heads of a piece: at most `fitting` where possible, whole groups that share keys and values or an equal part of one, and a
 * multiple of `step`.
 */
function headsOf(fitting: number, heads: number, group: number, step: number): number {
  let least = heads;
  for (let count = heads; count >= 1; count--) {
    if (heads % count !== 0 || count % step !== 0 || (count % group !== 0 && group % count !== 0)) continue;
    least = count;
    if (count <= fitting) break;
  }
  return least;
}

/** Work of some sequences, queries from `query` on, and heads: two products with the keys that a query attends to on average. */
function workOf(sizes: AttentionSizes, batches: number, query: number, queries: number, heads: number): Work {
  const { keys, headSize, causalFrom } = sizes;
  const seen = causalFrom === undefined ? keys : Math.min(keys, causalFrom + query + (queries + 1) / 2);
  const rows = batches * queries;
  return {
    flops: SLOWER_THAN_PRODUCTS * 4 * rows * seen * heads * headSize,
    bytes: 8 * (rows * heads + (batches * keys * heads * sizes.keyValueHeads) / sizes.heads) * headSize,
  };
}
