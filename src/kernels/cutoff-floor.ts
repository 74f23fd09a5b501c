import { Kernel } from "../runtime/kernel.js";
import { RANK_OF } from "./argmax.js";
import { rowHeader } from "./choice-rows.js";

/** Ranks that are listed at most; if more are candidates, all ranks are searched instead. */
export const CAPACITY = 32768;
/** Numbers of the search so far. */
export const SEARCH_SIZE = 12;
/** Numbers that fit the workgroup memory of every adapter, with the sums of the lanes. */
const STAGED = 3072;

/** WGSL of the search so far, which the kernels share: `search[rowStart(row, SEARCH_SIZE) + …]`. */
export const SEARCH_STATE = `
const SEARCH_SIZE = ${SEARCH_SIZE}u;
const NONE = 0xffffffffu;
const HIGHEST = 0u;               // rank
const FLOOR = 1u;                 // ranks below it do not matter
const BY_BUCKET = 2u;             // 0 if all ranks from the floor on are listed, 1 if only those of some buckets are
const LISTED = 3u;
const MASS = 4u;                  // of all ranks, over that of the highest; where there is top-p without top-k
const TOP_K_BUCKET = 5u;          // bounds of buckets, and what lies above them
const TOP_K_WANTED = 6u;
const MASS_ABOVE_TOP_K = 7u;
const FIRST_TOP_P_BUCKET = 8u;
const LAST_TOP_P_BUCKET = 9u;
const MASS_ABOVE_TOP_P = 10u;
const MASS_IN_BUCKETS = 11u;
${RANK_OF}`;

/** WGSL of a sum over the lanes of a workgroup. */
export const SUM_OF_LANES = `
var<workgroup> sums: array<vec3f, LANES>;

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
}`;

/** WGSL of the highest rank of the lanes of a workgroup. */
export const HIGHEST_OF_LANES = `
var<workgroup> highests: array<u32, LANES>;

fn highestOfLanes(lane: u32, own: u32) -> u32 {
  highests[lane] = own;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) { highests[lane] = max(highests[lane], highests[lane + reach]); }
    workgroupBarrier();
  }
  return highests[0];
}`;

/**
 * WGSL of a radix search over the bits of a rank, two at a time, by one workgroup. The kernel defines `Range`, what is read, and
 * `sumAbove(row, lane, range, tried)`, three sums over the weights of the ranks at and above each of three, through `sumOfLanes`.
 */
export const RADIX_SEARCH = `
${SUM_OF_LANES}

// The highest rank, at least low, at and above which the weights sum to at least wanted. Bits that the bounds of the result have in common
// are not searched for; the bounds are uniform.
fn find(row: u32, lane: u32, range: Range, bounds: vec2u, low: u32, wanted: f32) -> u32 {
  let equal = countLeadingZeros((bounds.x ^ bounds.y) | 1u) / 2u;
  var found = bounds.y & ~(0xffffffffu >> (2u * equal));
  for (var digit = 0u; digit < 16u; digit++) {
    if (digit < equal) { continue; }
    let step = 1u << (30u - 2u * digit);
    let tried = max(vec3u(found + step, found + 2u * step, found + 3u * step), vec3u(low));
    let enough = vec3u(sumAbove(row, lane, range, tried) >= vec3f(wanted));
    found += step * (enough.x + enough.y + enough.z);
  }
  return max(found, low);
}`;

/**
 * Finds the highest rank, and a floor that no top-k cutoff is below: the `topK`-th highest of the strips, since at least so many ranks
 * are not below it. (That of top-p is `cutoffMassFloor`'s.) One workgroup.
 */
export const cutoffFloorKernel = new Kernel(
  "cutoffFloor",
  `
@group(0) @binding(0) var<storage, read> tops: array<u32>;           // [rows, strips] highest ranks
@group(0) @binding(1) var<storage, read_write> search: array<u32>;   // [rows, SEARCH_SIZE]
${SEARCH_STATE}
${HIGHEST_OF_LANES}

var<workgroup> staged: array<u32, STAGED>;  // highest ranks of MERGED strips each
alias Range = u32;                          // how many of them there are

fn sumAbove(row: u32, lane: u32, count: Range, tried: vec3u) -> vec3f {
  var own = vec3u();
  for (var step = 0u; step < STAGED / LANES; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    own += vec3u(vec3u(staged[i]) >= tried);
  }
  return sumOfLanes(lane, vec3f(own));
}
${RADIX_SEARCH}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = rowStart(row, params.strips);
  let state = rowStart(row, SEARCH_SIZE);
  let count = (params.strips + MERGED - 1u) / MERGED;
  var own = LOWEST;
  for (var step = 0u; step < STAGED / LANES; step++) {
    let i = step * LANES + lane;
    if (i >= count) { break; }
    var top = 0u;
    for (var j = 0u; j < MERGED; j++) { top = max(top, tops[start + min(i * MERGED + j, params.strips - 1u)]); }
    staged[i] = top;
    own = max(own, top);
  }
  let highest = highestOfLanes(lane, own);
  var low = LOWEST;
  if (CUTS == 1u) { low = find(row, lane, count, vec2u(0u, 0xffffffffu), low, f32(topKOf(row))); }
  prepare(row, lane);
  if (lane == 0u) {
    search[state + HIGHEST] = highest;
    search[state + FLOOR] = low;
    search[state + BY_BUCKET] = BUCKETED;
    search[state + LISTED] = 0u;
  }
}
`,
  { LANES: 64, STAGED, MERGED: 1, CUTS: 1, BUCKETED: 1 },
);

export const FLOOR_HEADER = rowHeader(["strips"], ["topK"]);

/** WGSL that empties the buckets. */
export const PREPARED = {
  no: "fn prepare(row: u32, lane: u32) {}",
  yes: `
@group(0) @binding(3) var<storage, read_write> buckets: array<u32>;  // [rows, BUCKET_WORDS]
fn prepare(row: u32, lane: u32) {
  let start = rowStart(row, BUCKET_WORDS);
  for (var step = 0u; step < BUCKET_WORDS / LANES; step++) { buckets[start + step * LANES + lane] = 0u; }
}`,
};

/** Returns how many strips one staged number is the highest rank of. */
export function mergedStrips(strips: number): number {
  return Math.ceil(strips / STAGED);
}
