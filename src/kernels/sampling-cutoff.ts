import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { RANK_OF } from "./argmax.js";
import { HIGHEST_OF_LANES, type Penalties, rankLogits, rankWorkgroups } from "./rank-logits.js";

/**
 * The sampling cutoff in three passes over the ranks: `rankLogits` finds the highest; `cutoffBuckets` counts and weighs the ranks in
 * buckets by their distance from it; `cutoffCollect` lists those of the buckets that the cutoffs are in, which `cutoffBounds` has found; and
 * `cutoffSearch` finds the cutoffs in the list.
 */

/** Buckets: most are 1/32 wide; from 28 below the highest logit on, where ranks have no mass in f32, 32 double the distance. */
const BUCKETS = 1024;
/** Words of a bucket: its ranks, and the sum of what their weights lack to the weight of its upper edge. */
const BUCKET_WORDS = 2;
/** Ranks that are listed at most; if more are in the buckets, all ranks are searched instead. */
const CAPACITY = 8192;
/** Numbers of the search so far. */
const SEARCH_SIZE = 9;

const SHARED = `
const LOWEST = 0x00800001u;  // above the rank of minus infinity
const LAST = BUCKETS - 1u;
const WIDTH = 0.03125;       // of a bucket with mass, as a difference of logits
const MASSLESS = 896u;       // the first bucket without mass, 28 below the highest logit
const NONE = 0xffffffffu;

// The search so far: bounds of buckets, and what lies above them.
const TOP_K_BUCKET = 0u;
const TOP_K_WANTED = 1u;
const MASS_ABOVE_TOP_K = 2u;
const FIRST_TOP_P_BUCKET = 3u;
const LAST_TOP_P_BUCKET = 4u;
const MASS_ABOVE_TOP_P = 5u;
const TOTAL_MASS = 6u;
const LISTED = 7u;
const HIGHEST = 8u;
${RANK_OF}

// Exact in every kernel: a difference times a power of two, then steps of its upper bits.
fn bucketOf(rank: u32, highest: f32) -> u32 {
  let distance = highest - floatOf(rank);
  if (distance < 28.0) { return u32(distance * 32.0); }
  return min(MASSLESS + ((bitcast<u32>(distance) - bitcast<u32>(28.0)) >> 18u), LAST);
}`;

export const cutoffBucketsKernel = new Kernel(
  "cutoffBuckets",
  `
struct Params { count: u32, groups: u32 }
@group(0) @binding(0) var<storage, read> ranks: array<u32>;                  // [count]
@group(0) @binding(1) var<storage, read> tops: array<u32>;                   // [groups] highest ranks
@group(0) @binding(2) var<storage, read_write> buckets: array<atomic<u32>>;  // [BUCKETS, 2]
${SHARED}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // Few enough for every lane; workgroup memory and barriers take longer.
  var top = LOWEST;
  for (var i = 0u; i < 65536u; i++) {
    if (i >= params.groups) { break; }
    top = max(top, tops[i]);
  }
  let highest = floatOf(top);
  for (var step = 0u; step < RANKS / LANES; step++) {
    let at = group.x * RANKS + step * LANES + lane;
    var rank = 0u;
    if (at < params.count) { rank = ranks[at]; }
    if (rank >= LOWEST) {
      let bucket = bucketOf(rank, highest);
      atomicAdd(&buckets[2u * bucket], 1u);
      if (BY_MASS == 1u && bucket < MASSLESS) {
        // Between e^-WIDTH and 1: what it lacks takes five bits less than the weight.
        let weight = exp((floatOf(rank) - highest) + f32(bucket) * WIDTH);
        atomicAdd(&buckets[2u * bucket + 1u], u32(clamp((1.0 - weight) * UNITS + 0.5, 0.0, UNITS * WIDTH)));
      }
    }
  }
}
`,
  { LANES: 64, RANKS: 2048, BUCKETS, BY_MASS: 1 },
);

/** Finds the buckets of the cutoffs. The top-p cutoff depends on the top-k cutoff, so it may be in a range of buckets. One workgroup. */
export const cutoffBoundsKernel = new Kernel(
  "cutoffBounds",
  `
struct Params { groups: u32, topK: u32, topP: f32 }
@group(0) @binding(0) var<storage, read> buckets: array<u32>;       // [BUCKETS, 2]
@group(0) @binding(1) var<storage, read> tops: array<u32>;          // [groups] highest ranks
@group(0) @binding(2) var<storage, read_write> search: array<u32>;
${SHARED}
${HIGHEST_OF_LANES}

const OWN = BUCKETS / LANES;
var<workgroup> counts: array<u32, LANES>;
var<workgroup> masses: array<f32, LANES>;
var<workgroup> bounds: array<f32, 2>;  // mass above the top-k bucket, and with it

fn massOf(bucket: u32) -> f32 {
  let lacking = f32(buckets[2u * bucket + 1u]) / UNITS;
  return select((f32(buckets[2u * bucket]) - lacking) * exp(-f32(bucket) * WIDTH), 0.0, bucket >= MASSLESS);
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var highest = LOWEST;
  for (var step = 0u; step < 65536u; step++) {
    let at = step * LANES + lane;
    if (at >= params.groups) { break; }
    highest = max(highest, tops[at]);
  }
  highest = highestOfLanes(lane, highest);
  var count = 0u;
  var mass = 0.0;
  for (var i = 0u; i < OWN; i++) {
    count += buckets[2u * (lane * OWN + i)];
    mass += massOf(lane * OWN + i);
  }
  counts[lane] = count;
  masses[lane] = mass;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 1u; i < LANES; i++) {
      counts[i] += counts[i - 1u];
      masses[i] += masses[i - 1u];
    }
    search[HIGHEST] = highest;
    search[LISTED] = 0u;
    search[TOTAL_MASS] = bitcast<u32>(masses[LANES - 1u]);
    search[TOP_K_BUCKET] = NONE;
    search[FIRST_TOP_P_BUCKET] = NONE;
    search[LAST_TOP_P_BUCKET] = NONE;
    bounds[0] = masses[LANES - 1u];
    bounds[1] = bounds[0];
  }
  storageBarrier();
  workgroupBarrier();
  let total = masses[LANES - 1u];
  let countBefore = counts[lane] - count;
  let massBefore = masses[lane] - mass;
  if (TOP_K == 1u) {
    count = countBefore;
    mass = massBefore;
    for (var i = 0u; i < OWN; i++) {
      let bucket = lane * OWN + i;
      let own = buckets[2u * bucket];
      if (count < params.topK && count + own >= params.topK) {
        search[TOP_K_BUCKET] = bucket;
        search[TOP_K_WANTED] = params.topK - count;
        search[MASS_ABOVE_TOP_K] = bitcast<u32>(mass);
        bounds[0] = mass;
        bounds[1] = mass + massOf(bucket);
      }
      count += own;
      mass += massOf(bucket);
    }
    workgroupBarrier();
  }
  if (TOP_P == 1u) {
    // Wider than rounding.
    let least = params.topP * bounds[0] * 0.9999;
    let most = min(params.topP * bounds[1] * 1.0001, total);
    mass = massBefore;
    for (var i = 0u; i < OWN; i++) {
      let bucket = lane * OWN + i;
      let next = mass + massOf(bucket);
      if (mass < least && next >= least) {
        search[FIRST_TOP_P_BUCKET] = bucket;
        search[MASS_ABOVE_TOP_P] = bitcast<u32>(mass);
      }
      if (mass < most && next >= most) { search[LAST_TOP_P_BUCKET] = bucket; }
      mass = next;
    }
  }
}
`,
  { LANES: 64, BUCKETS, TOP_K: 1, TOP_P: 1 },
);

/** Lists the ranks of the buckets that the cutoffs are in. */
export const cutoffCollectKernel = new Kernel(
  "cutoffCollect",
  `
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read> ranks: array<u32>;                 // [count]
@group(0) @binding(1) var<storage, read_write> search: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read_write> list: array<u32>;            // [CAPACITY]
${SHARED}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let highest = floatOf(atomicLoad(&search[HIGHEST]));
  let topK = atomicLoad(&search[TOP_K_BUCKET]);
  let first = atomicLoad(&search[FIRST_TOP_P_BUCKET]);
  let last = atomicLoad(&search[LAST_TOP_P_BUCKET]);
  for (var step = 0u; step < RANKS / LANES; step++) {
    let at = group.x * RANKS + step * LANES + lane;
    var rank = 0u;
    if (at < params.count) { rank = ranks[at]; }
    if (rank >= LOWEST) {
      let bucket = bucketOf(rank, highest);
      if (bucket == topK || (bucket >= first && bucket <= last && last != NONE)) {
        let place = atomicAdd(&search[LISTED], 1u);
        if (place < CAPACITY) { list[place] = rank; }
      }
    }
  }
}
`,
  { LANES: 128, RANKS: 1024, BUCKETS, CAPACITY },
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
${SHARED}

var<workgroup> sums: array<vec3f, LANES>;

// What is read: the list, or all ranks; buckets from first to last, and ranks from low on.
struct Range { all: bool, first: u32, last: u32, low: u32, highest: f32 }

fn sumOfLanes(lane: u32, own: vec3f) -> vec3f {
  workgroupBarrier();
  sums[lane] = own;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) { sums[lane] += sums[lane + reach]; }
    workgroupBarrier();
  }
  return sums[0];
}

// Sums of 1, or of probabilities over that of the highest rank, of the ranks at and above each of three.
fn sumAbove(lane: u32, range: Range, byMass: bool, tried: vec3u) -> vec3f {
  let count = select(min(search[LISTED], CAPACITY), params.count, range.all);
  var own = vec3f();
  for (var step = 0u; step < 1048576u; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    var rank = 0u;
    if (range.all) { rank = ranks[i]; } else { rank = list[i]; }
    if (rank < range.low) { continue; }
    let bucket = bucketOf(rank, range.highest);
    if (!range.all && (bucket < range.first || bucket > range.last)) { continue; }
    var weight = 1.0;
    if (byMass) { weight = exp(floatOf(rank) - range.highest); }
    own += select(vec3f(), vec3f(weight), vec3u(rank) >= tried);
  }
  return sumOfLanes(lane, own);
}

// The highest rank, at least low, at and above which the weights sum to at least wanted.
fn find(lane: u32, range: Range, byMass: bool, wanted: f32) -> u32 {
  var found = 0u;
  for (var digit = 0u; digit < 16u; digit++) {
    let step = 1u << (30u - 2u * digit);
    let tried = max(vec3u(found + step, found + 2u * step, found + 3u * step), vec3u(range.low));
    let enough = vec3u(sumAbove(lane, range, byMass, tried) >= vec3f(wanted));
    found += step * (enough.x + enough.y + enough.z);
  }
  return max(found, range.low);
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let topK = search[TOP_K_BUCKET];
  let first = search[FIRST_TOP_P_BUCKET];
  let last = search[LAST_TOP_P_BUCKET];
  let highest = floatOf(search[HIGHEST]);
  let all = search[LISTED] > CAPACITY || (TOP_K == 1u && topK == LAST) || (TOP_P == 1u && (first == NONE || last == NONE));
  var low = LOWEST;
  if (TOP_K == 1u && (all || topK != NONE)) {
    let wanted = select(f32(search[TOP_K_WANTED]), params.topK, all);
    low = find(lane, Range(all, topK, topK, low, highest), false, wanted);
  }
  if (TOP_P == 1u) {
    var mass = bitcast<f32>(search[TOTAL_MASS]);
    var above = bitcast<f32>(search[MASS_ABOVE_TOP_P]);
    if (all) {
      above = 0.0;
      mass = sumAbove(lane, Range(true, 0u, LAST, low, highest), true, vec3u(low)).x;
    } else if (TOP_K == 1u && topK != NONE) {
      mass = bitcast<f32>(search[MASS_ABOVE_TOP_K]) + sumAbove(lane, Range(false, topK, topK, low, highest), true, vec3u(low)).x;
    }
    // At least one survives, however small topP is.
    low = find(lane, Range(all, first, last, low, highest), true, max(params.topP * mass - above, 1e-30));
  }
  low = max(low, rankOf(highest + params.logMinP));
  if (lane == 0u) { cutoff[0] = low; }
}
`,
  { LANES: 64, BUCKETS, CAPACITY, TOP_K: 1, TOP_P: 1 },
);

/** Barriers dominate on CPU adapters. */
const ON_CPU = { LANES: 32 };

/** WGSL of the units in which weights are added: as fine as sums of `count` of them, each at most WIDTH, fit a word. */
function unitsFor(count: number): string {
  const bits = 32 - Math.ceil(Math.log2(count + 1)) + Math.log2(32);
  return `const UNITS = ${2 ** Math.min(bits, 23)}.0;`;
}

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

/**
 * Ranks logits as `rankLogits` does, and returns with the ranks the top-k/top-p/min-p cutoff, `[1]` u32: the smallest rank with nonzero
 * probability.
 */
export function rankWithCutoff(
  logits: Tensor,
  count: number,
  temperature: number,
  penalties: Penalties,
  tensors: Parameters<typeof rankLogits>[4],
  { topK, topP, minP }: Truncation,
): { ranks: Tensor; cutoff: Tensor } {
  const { device } = logits;
  const { onCPU } = device.facts;
  const [TOP_K, TOP_P] = [topK > 0 ? 1 : 0, topP < 1 ? 1 : 0];
  const groups = rankWorkgroups(count, device.facts);
  const tops = device.empty([groups], "u32", "tops");
  const buckets = device.empty([BUCKETS, BUCKET_WORDS], "u32", "buckets");
  const list = device.empty([CAPACITY], "u32", "list");
  const search = device.empty([SEARCH_SIZE], "u32", "search");
  const cutoff = device.empty([1], "u32", "cutoff");
  const ranks = rankLogits(logits, count, temperature, penalties, tensors, { tops, buckets });
  const units = [unitsFor(count)];
  const few = onCPU ? ON_CPU : {};
  if (TOP_K || TOP_P) {
    const kernel = cutoffBucketsKernel.variant({ ...few, BY_MASS: TOP_P }, ...units);
    device.run(kernel, { ranks, tops, buckets }, { count, groups }, [Math.ceil(count / kernel.constants.RANKS)]);
  }
  device.run(
    cutoffBoundsKernel.variant({ ...few, TOP_K, TOP_P }, ...units),
    { buckets, tops, search },
    { groups, topK, topP },
    [1],
  );
  if (TOP_K || TOP_P) {
    const kernel = cutoffCollectKernel.variant(few);
    device.run(kernel, { ranks, search, list }, { count }, [Math.ceil(count / kernel.constants.RANKS)]);
  }
  // -3e38 is below every difference of logits.
  const logMinP = minP > 0 ? Math.log(minP) : -3e38;
  const kernel = cutoffSearchKernel.variant({ ...few, TOP_K, TOP_P });
  device.run(kernel, { ranks, search, list, cutoff }, { count, topK, topP, logMinP }, [1]);
  return { ranks, cutoff };
}
