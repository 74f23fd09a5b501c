import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { FIRST_OF } from "./argmax.js";
import {
  BUCKET_OF,
  BUCKET_WORDS,
  BUCKETS,
  cutoffBoundsKernel,
  cutoffBucketsKernel,
  unitsFor,
} from "./cutoff-buckets.js";
import {
  CAPACITY,
  cutoffFloorKernel,
  mergedStrips,
  PREPARED,
  RADIX_SEARCH,
  SEARCH_SIZE,
  SEARCH_STATE,
} from "./cutoff-floor.js";
import { cutoffMassFloorKernel } from "./cutoff-mass-floor.js";
import { type Penalties, rankLogits, stripConstants, stripsOf } from "./rank-logits.js";

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
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read> ranks: array<u32>;                 // [count]
@group(0) @binding(1) var<storage, read> tops: array<u32>;                  // [strips] highest ranks
@group(0) @binding(2) var<storage, read_write> search: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> list: array<u32>;            // [CAPACITY]
${SEARCH_STATE}
${BUCKET_OF}
${FIRST_OF}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let low = atomicLoad(&search[FLOOR]);
  let byBucket = BUCKETED == 1u && atomicLoad(&search[BY_BUCKET]) == 1u;
  let highest = floatOf(atomicLoad(&search[HIGHEST]));
  let topK = atomicLoad(&search[TOP_K_BUCKET]);
  let firstBucket = atomicLoad(&search[FIRST_TOP_P_BUCKET]);
  let lastBucket = atomicLoad(&search[LAST_TOP_P_BUCKET]);
  for (var part = 0u; part < PARTS; part++) {
    let strip = (group.x * PARTS + part) * LANES + lane;
    let first = firstOf(strip);
    let end = select(0u, params.count, tops[strip] >= low);
    for (var step = 0u; step < STRIP; step++) {
      let i = first + step * LANES;
      if (i >= end) { break; }
      let rank = ranks[i];
      if (rank < low) { continue; }
      if (byBucket) {
        let bucket = bucketOf(rank, highest);
        if (bucket != topK && (bucket < firstBucket || bucket > lastBucket)) { continue; }
      }
      let place = atomicAdd(&search[LISTED], 1u);
      if (place < CAPACITY) { list[place] = rank; }
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
struct Params { count: u32, topK: f32, topP: f32, logMinP: f32 }
@group(0) @binding(0) var<storage, read> ranks: array<u32>;         // [count]
@group(0) @binding(1) var<storage, read> search: array<u32>;
@group(0) @binding(2) var<storage, read> list: array<u32>;          // [CAPACITY]
@group(0) @binding(3) var<storage, read_write> cutoff: array<u32>;  // [1]
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

fn sumAbove(lane: u32, range: Range, tried: vec3u) -> vec3f {
  var own = vec3f();
  if (range.all) {
    for (var step = 0u; step < 1048576u; step++) {
      let i = step * LANES + lane;
      if (i >= params.count) { break; }
      own += weightsAbove(ranks[i], range, tried);
    }
  } else {
    let count = min(search[LISTED], CAPACITY);
    for (var step = 0u; step < CAPACITY / LANES; step++) {
      let i = step * LANES + lane;
      if (i >= count) { break; }
      own += weightsAbove(list[i], range, tried);
    }
  }
  return sumOfLanes(lane, own);
}
${RADIX_SEARCH}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let topK = search[TOP_K_BUCKET];
  let first = search[FIRST_TOP_P_BUCKET];
  let last = search[LAST_TOP_P_BUCKET];
  let highest = floatOf(search[HIGHEST]);
  let bucketed = BUCKETED == 1u && search[BY_BUCKET] == 1u;
  let unsure = bucketed && ((TOP_K == 1u && topK == LAST) || (TOP_P == 1u && first == NONE));
  let all = search[LISTED] > CAPACITY || unsure;
  let byBucket = bucketed && !all;
  var bounds = vec2u(search[FLOOR], search[HIGHEST]);
  if (bucketed && !unsure && TOP_K == 0u) {
    // One bucket more on both sides than that of the cutoff: wider than rounding.
    let least = rankOf(highest - f32(last + 2u) * WIDTH);
    bounds = vec2u(max(bounds.x, least), min(bounds.y, rankOf(highest - (f32(first) - 1.0) * WIDTH)));
  }
  var low = search[FLOOR];
  if (TOP_K == 1u && !(byBucket && topK == NONE)) {
    let wanted = select(params.topK, f32(search[TOP_K_WANTED]), byBucket);
    low = find(lane, Range(all, byBucket, topK, topK, false, highest), bounds, low, wanted);
  }
  if (TOP_P == 1u) {
    var mass = bitcast<f32>(search[MASS]);
    var above = 0.0;
    if (byBucket) { above = bitcast<f32>(search[MASS_ABOVE_TOP_P]); }
    if (TOP_K == 1u && byBucket && topK == NONE) {
      mass = bitcast<f32>(search[MASS_IN_BUCKETS]);
    } else if (TOP_K == 1u) {
      mass = sumAbove(lane, Range(all, byBucket, topK, topK, true, highest), vec3u(low)).x;
      if (byBucket) { mass += bitcast<f32>(search[MASS_ABOVE_TOP_K]); }
    }
    // At least one survives, however small topP is.
    let wanted = max(params.topP * mass - above, 1e-30);
    low = find(lane, Range(all, byBucket, first, last, true, highest), bounds, low, wanted);
  }
  low = max(low, rankOf(highest + params.logMinP));
  if (lane == 0u) { cutoff[0] = low; }
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
  /** `[count]` u32, as `rankLogits` returns them. */
  readonly ranks: Tensor;
  /** `[strips]` u32: the highest ranks. */
  readonly tops: Tensor;
  /** `[1]` u32: the smallest rank with nonzero probability. */
  readonly cutoff: Tensor;
}

/** Ranks logits as `rankLogits` does, and finds the top-k/top-p/min-p cutoff. */
export function rankWithCutoff(
  logits: Tensor,
  count: number,
  temperature: number,
  penalties: Penalties,
  tensors: Parameters<typeof rankLogits>[4],
  { topK, topP, minP }: Truncation,
): CutRanks {
  const { device } = logits;
  const { strips, workgroups } = stripsOf(count, device.facts);
  const { LANES, PARTS, STRIP } = stripConstants(device.facts);
  const MERGED = mergedStrips(strips);
  /** As many strips have no more ranks than can be listed. Those from the floor on are in as many as are wanted, unless ranks are equal. */
  const most = Math.floor(CAPACITY / (STRIP * MERGED));
  const [TOP_K, TOP_P] = [topK > 0 ? 1 : 0, topP < 1 ? 1 : 0];
  const CUTS = TOP_K || TOP_P;
  const weighs = TOP_P && !TOP_K;
  const BUCKETED = count > CAPACITY && (weighs || topK > most) ? 1 : 0;

  const tops = device.empty([strips], "u32", "tops");
  const masses = weighs ? device.empty([strips], "f32", "masses") : undefined;
  const buckets = BUCKETED ? device.empty([BUCKETS, BUCKET_WORDS], "u32", "buckets") : undefined;
  const list = device.empty([CAPACITY], "u32", "list");
  const search = device.empty([SEARCH_SIZE], "u32", "search");
  const cutoff = device.empty([1], "u32", "cutoff");
  const ranks = rankLogits(logits, count, temperature, penalties, tensors, { tops, masses });
  const prepared = buckets ? [`const BUCKET_WORDS = ${BUCKETS * BUCKET_WORDS}u;`, PREPARED.yes] : [PREPARED.no];
  if (masses) {
    const kernel = cutoffMassFloorKernel.variant({ LANES, STRIP, BUCKETED }, ...prepared);
    device.run(kernel, { tops, search, masses, ...(buckets && { buckets }) }, { count, strips, topP }, [1]);
  } else {
    const kernel = cutoffFloorKernel.variant({ LANES, MERGED, CUTS, BUCKETED }, ...prepared);
    device.run(kernel, { tops, search, ...(buckets && { buckets }) }, { strips, wanted: topK }, [1]);
  }
  if (buckets) {
    const units = unitsFor(count);
    const kernel = cutoffBucketsKernel.variant({ LANES, PARTS, STRIP, BY_MASS: TOP_P }, units);
    device.run(kernel, { ranks, tops, search, buckets }, { count }, [workgroups]);
    device.run(cutoffBoundsKernel.variant({ LANES, TOP_K, TOP_P }, units), { search, buckets }, { topK, topP }, [1]);
  }
  if (CUTS) {
    const kernel = cutoffCollectKernel.variant({ LANES, PARTS, STRIP, BUCKETED });
    device.run(kernel, { ranks, tops, search, list }, { count }, [workgroups]);
  }
  // -3e38 is below every difference of logits.
  const logMinP = minP > 0 ? Math.log(minP) : -3e38;
  const kernel = cutoffSearchKernel.variant({ LANES, BUCKETED, TOP_K, TOP_P });
  device.run(kernel, { ranks, search, list, cutoff }, { count, topK, topP, logMinP }, [1]);
  return { ranks, tops, cutoff };
}
