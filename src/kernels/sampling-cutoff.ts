import type { AdapterFacts } from "../runtime/adapter.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { FIRST_OF } from "./argmax.js";
import { type ChoiceRows, type RowHeader, rowHeader, runRows } from "./choice-rows.js";
import {
  BOUNDS_HEADER,
  BUCKET_OF,
  BUCKET_WORDS,
  BUCKETS,
  BUCKETS_HEADER,
  cutoffBoundsKernel,
  cutoffBucketsKernel,
  unitsFor,
} from "./cutoff-buckets.js";
import {
  CAPACITY,
  cutoffFloorKernel,
  FLOOR_HEADER,
  mergedStrips,
  PREPARED,
  RADIX_SEARCH,
  SEARCH_SIZE,
  SEARCH_STATE,
} from "./cutoff-floor.js";
import { cutoffMassFloorKernel, MASS_FLOOR_HEADER } from "./cutoff-mass-floor.js";
import { type LogitRules, rankLogits, stripConstants, stripsOf } from "./rank-logits.js";

/**
 * The sampling cutoff. `rankLogits` finds the highest rank of each strip of logits, and the strip's probability mass; `cutoffFloor` or,
 * for top-p alone, `cutoffMassFloor`, from these, a floor that no cutoff is below; `cutoffCollect` lists the ranks from it on; and
 * `cutoffSearch` finds the cutoffs in the list. Where the list would be long (top-p of a flat distribution, top-k of hundreds),
 * `cutoffBuckets` counts and weighs the ranks from the floor on in buckets by their distance from the highest, `cutoffBounds` finds the
 * buckets of the cutoffs, and their ranks are listed. That is three passes over the ranks.
 */

/** Lists the ranks from the floor on, or those of the buckets that the cutoffs are in. */
export const cutoffCollectKernel = new Kernel(
  "cutoffCollect",
  `
@group(0) @binding(0) var<storage, read> ranks: array<u32>;                 // [rows, count]
@group(0) @binding(1) var<storage, read> tops: array<u32>;                  // [rows, strips] highest ranks
@group(0) @binding(2) var<storage, read_write> search: array<atomic<u32>>;  // [rows, SEARCH_SIZE]
@group(0) @binding(3) var<storage, read_write> list: array<u32>;            // [rows, CAPACITY]
${SEARCH_STATE}
${BUCKET_OF}
${FIRST_OF}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = rowStart(row, params.count);
  let stripsStart = rowStart(row, params.strips);
  let listStart = rowStart(row, CAPACITY);
  let state = rowStart(row, SEARCH_SIZE);
  let low = atomicLoad(&search[state + FLOOR]);
  let byBucket = BUCKETED == 1u && atomicLoad(&search[state + BY_BUCKET]) == 1u;
  let highest = floatOf(atomicLoad(&search[state + HIGHEST]));
  let topK = atomicLoad(&search[state + TOP_K_BUCKET]);
  let firstBucket = atomicLoad(&search[state + FIRST_TOP_P_BUCKET]);
  let lastBucket = atomicLoad(&search[state + LAST_TOP_P_BUCKET]);
  for (var part = 0u; part < PARTS; part++) {
    let strip = (group.x * PARTS + part) * LANES + lane;
    let first = firstOf(strip);
    let end = select(0u, params.count, tops[stripsStart + strip] >= low);
    for (var step = 0u; step < STRIP; step++) {
      let i = first + step * LANES;
      if (i >= end) { break; }
      let rank = ranks[start + i];
      if (rank < low) { continue; }
      if (byBucket) {
        let bucket = bucketOf(rank, highest);
        if (bucket != topK && (bucket < firstBucket || bucket > lastBucket)) { continue; }
      }
      let place = atomicAdd(&search[state + LISTED], 1u);
      if (place < CAPACITY) { list[listStart + place] = rank; }
    }
  }
}
`,
  { LANES: 64, PARTS: 1, STRIP: 32, BUCKETS, CAPACITY, BUCKETED: 1 },
);

/**
 * Finds the top-k/top-p/min-p cutoff, the smallest rank that survives, without sorting: a radix search over the rank's bits, two at a
 * time, for the highest rank at and above which there are `topK` elements, or `topP` of the probability mass. It reads the list, or all
 * ranks where that is too short or a cutoff is in the last bucket. One workgroup.
 */
export const cutoffSearchKernel = new Kernel(
  "cutoffSearch",
  `
@group(0) @binding(0) var<storage, read> ranks: array<u32>;         // [rows, count]
@group(0) @binding(1) var<storage, read> search: array<u32>;        // [rows, SEARCH_SIZE]
@group(0) @binding(2) var<storage, read> list: array<u32>;          // [rows, CAPACITY]
@group(0) @binding(3) var<storage, read_write> cutoff: array<u32>;  // [rows]
${SEARCH_STATE}
${BUCKET_OF}

// What is read: the list, or all ranks; buckets from first to last; and weights of 1, or probabilities over that of the highest rank.
struct Range { all: bool, byBucket: bool, first: u32, last: u32, byMass: bool, highest: f32 }

fn weightsAbove(rank: u32, range: Range, tried: vec3u) -> vec3f {
  var weight = 1.0;
  // Constants first: a software adapter computes both sides of a branch.
  if (TOP_P == 1u && (TOP_K == 0u || range.byMass)) { weight = exp(floatOf(rank) - range.highest); }
  // Without top-k all that is listed is of these buckets.
  if (BUCKETED == 1u && TOP_K == 1u && range.byBucket) {
    let bucket = bucketOf(rank, range.highest);
    if (bucket < range.first || bucket > range.last) { return vec3f(); }
  }
  return select(vec3f(), vec3f(weight), vec3u(rank) >= tried);
}

fn sumAbove(row: u32, lane: u32, range: Range, tried: vec3u) -> vec3f {
  var own = vec3f();
  if (range.all) {
    let start = rowStart(row, params.count);
    for (var step = 0u; step < 1048576u; step++) {
      let i = step * LANES + lane;
      if (i >= params.count) { break; }
      own += weightsAbove(ranks[start + i], range, tried);
    }
  } else {
    let start = rowStart(row, CAPACITY);
    let count = min(search[rowStart(row, SEARCH_SIZE) + LISTED], CAPACITY);
    for (var step = 0u; step < CAPACITY / LANES; step++) {
      let i = step * LANES + lane;
      if (i >= count) { break; }
      own += weightsAbove(list[start + i], range, tried);
    }
  }
  return sumOfLanes(lane, own);
}
${RADIX_SEARCH}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let state = rowStart(row, SEARCH_SIZE);
  let topK = search[state + TOP_K_BUCKET];
  let first = search[state + FIRST_TOP_P_BUCKET];
  let last = search[state + LAST_TOP_P_BUCKET];
  let highest = floatOf(search[state + HIGHEST]);
  let bucketed = BUCKETED == 1u && search[state + BY_BUCKET] == 1u;
  let unsure = bucketed && ((TOP_K == 1u && topK == LAST) || (TOP_P == 1u && first == NONE));
  let all = search[state + LISTED] > CAPACITY || unsure;
  let byBucket = bucketed && !all;
  var bounds = vec2u(search[state + FLOOR], search[state + HIGHEST]);
  if (bucketed && !unsure && TOP_K == 0u) {
    // One bucket more on both sides than that of the cutoff: wider than rounding.
    let least = rankOf(highest - f32(last + 2u) * WIDTH);
    bounds = vec2u(max(bounds.x, least), min(bounds.y, rankOf(highest - (f32(first) - 1.0) * WIDTH)));
  }
  var low = search[state + FLOOR];
  if (TOP_K == 1u && !(byBucket && topK == NONE)) {
    let wanted = select(f32(topKOf(row)), f32(search[state + TOP_K_WANTED]), byBucket);
    low = find(row, lane, Range(all, byBucket, topK, topK, false, highest), bounds, low, wanted);
  }
  if (TOP_P == 1u) {
    var mass = bitcast<f32>(search[state + MASS]);
    var above = 0.0;
    if (byBucket) { above = bitcast<f32>(search[state + MASS_ABOVE_TOP_P]); }
    if (TOP_K == 1u && byBucket && topK == NONE) {
      mass = bitcast<f32>(search[state + MASS_IN_BUCKETS]);
    } else if (TOP_K == 1u) {
      mass = sumAbove(row, lane, Range(all, byBucket, topK, topK, true, highest), vec3u(low)).x;
      if (byBucket) { mass += bitcast<f32>(search[state + MASS_ABOVE_TOP_K]); }
    }
    // At least one survives, however small topP is.
    let wanted = max(topPOf(row) * mass - above, 1e-30);
    low = find(row, lane, Range(all, byBucket, first, last, true, highest), bounds, low, wanted);
  }
  low = max(low, rankOf(highest + logMinPOf(row)));
  if (lane == 0u) { cutoff[row] = low; }
}
`,
  { LANES: 64, BUCKETS, CAPACITY, BUCKETED: 1, TOP_K: 1, TOP_P: 1 },
);

/** Truncation of the distribution before sampling, applied in this order. */
export interface Truncation {
  /** Top-k: keeps the `topK` tokens of the highest probability, and ties with the last of them; 0 keeps all. */
  readonly topK: number;
  /**
   * Top-p (nucleus) sampling, arXiv 1904.09751: keeps the smallest set of tokens whose probabilities sum to at least this; 1
   * keeps all.
   */
  readonly topP: number;
  /** Min-p, arXiv 2407.01082: keeps tokens of at least this fraction of the highest probability; 0 keeps all. */
  readonly minP: number;
}

/** Logits in the form that `bestOfSlices` samples from. */
export interface CutRanks {
  /** `[rows, count]` u32, as `rankLogits` returns them. */
  readonly ranks: Tensor;
  /** `[rows, strips]` u32: the highest ranks. */
  readonly tops: Tensor;
  /** `[rows]` u32: the smallest rank with nonzero probability. */
  readonly cutoff: Tensor;
}

/** What of {@link Truncation} a kernel does; rows that are cut alike are cut together. */
export interface Cut {
  readonly byCount: boolean;
  readonly byMass: boolean;
  readonly inBuckets: boolean;
}

const COLLECT = rowHeader(["count", "strips"], []);
const SEARCH = rowHeader(["count"], ["topK", "topP", "logMinP"]);

/** Returns how the sampling cutoff among `count` logits is found. */
export function cutOf({ topK, topP }: Pick<Truncation, "topK" | "topP">, count: number, facts: AdapterFacts): Cut {
  const { STRIP } = stripConstants(facts);
  /** As many strips have no more ranks than can be listed. Those from the floor on are in as many as are wanted, unless ranks are equal. */
  const most = Math.floor(CAPACITY / (STRIP * mergedStrips(stripsOf(count, facts).strips)));
  const [byCount, byMass] = [topK > 0, topP < 1];
  return { byCount, byMass, inBuckets: count > CAPACITY && ((byMass && !byCount) || topK > most) };
}

/** Ranks logits as `rankLogits` does, and finds the top-k/top-p/min-p cutoff of each row. */
export function rankWithCutoff(
  logits: Tensor,
  count: number,
  rows: ChoiceRows,
  rules: LogitRules,
  { byCount, byMass, inBuckets }: Cut,
): CutRanks {
  const { device } = logits;
  const { strips, workgroups } = stripsOf(count, device.facts);
  const { LANES, PARTS, STRIP } = stripConstants(device.facts);
  const MERGED = mergedStrips(strips);
  const [TOP_K, TOP_P, BUCKETED] = [byCount ? 1 : 0, byMass ? 1 : 0, inBuckets ? 1 : 0];
  const CUTS = TOP_K || TOP_P;

  const tops = device.empty([rows.count, strips], "u32", "tops");
  const masses = byMass && !byCount ? device.empty([rows.count, strips], "f32", "masses") : undefined;
  const buckets = inBuckets ? device.empty([rows.count, BUCKETS, BUCKET_WORDS], "u32", "buckets") : undefined;
  const list = device.empty([rows.count, CAPACITY], "u32", "list");
  const search = device.empty([rows.count, SEARCH_SIZE], "u32", "search");
  const cutoff = device.empty([rows.count], "u32", "cutoff");
  const ranks = rankLogits(logits, count, rows, rules, { tops, masses });
  const run = (
    kernel: Kernel,
    header: RowHeader,
    tensors: Record<string, Tensor>,
    common: Record<string, number>,
    across = 1,
  ): void => runRows(device, kernel, header, rows, tensors, common, across);
  const prepared = buckets ? [`const BUCKET_WORDS = ${BUCKETS * BUCKET_WORDS}u;`, PREPARED.yes] : [PREPARED.no];
  const emptied = buckets && { buckets };
  if (masses) {
    const kernel = cutoffMassFloorKernel.variant({ LANES, STRIP, BUCKETED }, ...prepared);
    run(kernel, MASS_FLOOR_HEADER, { tops, search, masses, ...emptied }, { count, strips });
  } else {
    const kernel = cutoffFloorKernel.variant({ LANES, MERGED, CUTS, BUCKETED }, ...prepared);
    run(kernel, FLOOR_HEADER, { tops, search, ...emptied }, { strips });
  }
  if (buckets) {
    const units = unitsFor(count);
    const kernel = cutoffBucketsKernel.variant({ LANES, PARTS, STRIP, BY_MASS: TOP_P }, units);
    run(kernel, BUCKETS_HEADER, { ranks, tops, search, buckets }, { count, strips }, workgroups);
    run(cutoffBoundsKernel.variant({ LANES, TOP_K, TOP_P }, units), BOUNDS_HEADER, { search, buckets }, {});
  }
  if (CUTS) {
    const kernel = cutoffCollectKernel.variant({ LANES, PARTS, STRIP, BUCKETED });
    run(kernel, COLLECT, { ranks, tops, search, list }, { count, strips }, workgroups);
  }
  const kernel = cutoffSearchKernel.variant({ LANES, BUCKETED, TOP_K, TOP_P });
  run(kernel, SEARCH, { ranks, search, list, cutoff }, { count });
  return { ranks, tops, cutoff };
}
