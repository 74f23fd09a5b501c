import { Kernel } from "../runtime/kernel.js";
import { FIRST_OF } from "./argmax.js";
import { rowHeader } from "./choice-rows.js";
import { SEARCH_STATE } from "./cutoff-floor.js";

/** Buckets: most are 1/32 wide; from 28 below the highest logit on, where ranks have no mass in f32, 32 double the distance. */
export const BUCKETS = 1024;
/** Words of a bucket: its ranks, and the sum of what their weights lack to the weight of its upper edge. */
export const BUCKET_WORDS = 2;

/** WGSL of the bucket of a rank, by its distance from the highest. */
export const BUCKET_OF = `
const LAST = BUCKETS - 1u;
const WIDTH = 0.03125;  // of a bucket with mass, as a difference of logits
const MASSLESS = 896u;  // the first bucket without mass, 28 below the highest logit

// Exact in every kernel: a difference times a power of two, then steps of its upper bits.
fn bucketOf(rank: u32, highest: f32) -> u32 {
  let distance = highest - floatOf(rank);
  if (distance < 28.0) { return u32(distance * 32.0); }
  return min(MASSLESS + ((bitcast<u32>(distance) - bitcast<u32>(28.0)) >> 18u), LAST);
}`;

/** Counts and weighs the ranks from the floor on in buckets, unless they are all listed. */
export const cutoffBucketsKernel = new Kernel(
  "cutoffBuckets",
  `
@group(0) @binding(0) var<storage, read> ranks: array<u32>;                  // [rows, count]
@group(0) @binding(1) var<storage, read> tops: array<u32>;                   // [rows, strips] highest ranks
@group(0) @binding(2) var<storage, read> search: array<u32>;                 // [rows, SEARCH_SIZE]
@group(0) @binding(3) var<storage, read_write> buckets: array<atomic<u32>>;  // [rows, BUCKETS, 2]
${SEARCH_STATE}
${BUCKET_OF}
${FIRST_OF}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let state = rowStart(row, SEARCH_SIZE);
  if (search[state + BY_BUCKET] == 0u) { return; }
  let start = rowStart(row, params.count);
  let stripsStart = rowStart(row, params.strips);
  let bucketsStart = rowStart(row, 2u * BUCKETS);
  let low = search[state + FLOOR];
  let highest = floatOf(search[state + HIGHEST]);
  for (var part = 0u; part < PARTS; part++) {
    let strip = (group.x * PARTS + part) * LANES + lane;
    let first = firstOf(strip);
    let end = select(0u, params.count, tops[stripsStart + strip] >= low);
    for (var step = 0u; step < STRIP; step++) {
      let i = first + step * LANES;
      if (i >= end) { break; }
      let rank = ranks[start + i];
      if (rank < low) { continue; }
      let bucket = bucketOf(rank, highest);
      let place = bucketsStart + 2u * bucket;
      atomicAdd(&buckets[place], 1u);
      if (BY_MASS == 1u && bucket < MASSLESS) {
        // Between e^-WIDTH and 1: what it lacks takes five bits less than the weight.
        let weight = exp((floatOf(rank) - highest) + f32(bucket) * WIDTH);
        atomicAdd(&buckets[place + 1u], u32(clamp((1.0 - weight) * UNITS + 0.5, 0.0, UNITS * WIDTH)));
      }
    }
  }
}
`,
  { LANES: 64, PARTS: 1, STRIP: 32, BUCKETS, BY_MASS: 1 },
);

/** Finds the buckets of the cutoffs. The top-p cutoff depends on the top-k cutoff, so it may be in a range of buckets. One workgroup. */
export const cutoffBoundsKernel = new Kernel(
  "cutoffBounds",
  `
@group(0) @binding(0) var<storage, read> buckets: array<u32>;        // [rows, BUCKETS, 2]
@group(0) @binding(1) var<storage, read_write> search: array<u32>;   // [rows, SEARCH_SIZE]
${SEARCH_STATE}
${BUCKET_OF}

const OWN = BUCKETS / LANES;
var<workgroup> counts: array<u32, LANES>;
var<workgroup> masses: array<f32, LANES>;
var<workgroup> bounds: array<f32, 2>;  // mass above the top-k bucket, and with it

fn massOf(start: u32, bucket: u32) -> f32 {
  let lacking = f32(buckets[start + 2u * bucket + 1u]) / UNITS;
  return select((f32(buckets[start + 2u * bucket]) - lacking) * exp(-f32(bucket) * WIDTH), 0.0, bucket >= MASSLESS);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = rowStart(row, 2u * BUCKETS);
  let state = rowStart(row, SEARCH_SIZE);
  var count = 0u;
  var mass = 0.0;
  for (var i = 0u; i < OWN; i++) {
    count += buckets[start + 2u * (lane * OWN + i)];
    mass += massOf(start, lane * OWN + i);
  }
  counts[lane] = count;
  masses[lane] = mass;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 1u; i < LANES; i++) {
      counts[i] += counts[i - 1u];
      masses[i] += masses[i - 1u];
    }
    let total = masses[LANES - 1u];
    search[state + MASS_IN_BUCKETS] = bitcast<u32>(total);
    search[state + TOP_K_BUCKET] = NONE;
    search[state + FIRST_TOP_P_BUCKET] = NONE;
    search[state + LAST_TOP_P_BUCKET] = MASSLESS - 1u;
    // Without top-k, ranks below the floor have mass too.
    bounds[0] = total;
    if (TOP_K == 0u) { bounds[0] = bitcast<f32>(search[state + MASS]); }
    bounds[1] = bounds[0];
  }
  storageBarrier();
  workgroupBarrier();
  let countBefore = counts[lane] - count;
  let massBefore = masses[lane] - mass;
  if (TOP_K == 1u) {
    count = countBefore;
    mass = massBefore;
    for (var i = 0u; i < OWN; i++) {
      let bucket = lane * OWN + i;
      let own = buckets[start + 2u * bucket];
      if (count < topKOf(row) && count + own >= topKOf(row)) {
        search[state + TOP_K_BUCKET] = bucket;
        search[state + TOP_K_WANTED] = topKOf(row) - count;
        search[state + MASS_ABOVE_TOP_K] = bitcast<u32>(mass);
        bounds[0] = mass;
        bounds[1] = mass + massOf(start, bucket);
      }
      count += own;
      mass += massOf(start, bucket);
    }
    workgroupBarrier();
  }
  if (TOP_P == 1u) {
    // Wider than rounding.
    let least = topPOf(row) * bounds[0] * 0.9999;
    let most = topPOf(row) * bounds[1] * 1.0001;
    mass = massBefore;
    for (var i = 0u; i < OWN; i++) {
      let bucket = lane * OWN + i;
      let next = mass + massOf(start, bucket);
      if (mass < least && next >= least) {
        search[state + FIRST_TOP_P_BUCKET] = bucket;
        search[state + MASS_ABOVE_TOP_P] = bitcast<u32>(mass);
      }
      if (mass < most && next >= most) { search[state + LAST_TOP_P_BUCKET] = bucket; }
      mass = next;
    }
  }
}
`,
  { LANES: 64, BUCKETS, TOP_K: 1, TOP_P: 1 },
);

/** WGSL of the units in which weights are added: as fine as sums of `count` of them, each at most WIDTH, fit a word. */
export function unitsFor(count: number): string {
  const bits = 32 - Math.ceil(Math.log2(count + 1)) + Math.log2(32);
  return `const UNITS = ${2 ** Math.min(bits, 23)}.0;`;
}

export const BUCKETS_HEADER = rowHeader(["count", "strips"], []);
export const BOUNDS_HEADER = rowHeader([], ["topK", "topP"]);
