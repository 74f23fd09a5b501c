import { Kernel } from "../runtime/kernel.js";
import { rowHeader } from "./choice-rows.js";
import { HIGHEST_OF_LANES, SEARCH_STATE, SUM_OF_LANES } from "./cutoff-floor.js";

/** Ranks that are searched without buckets at most: one workgroup reads them once per two bits. */
export const LISTABLE = 16384;

/**
 * Finds the highest rank, the mass of all ranks over that of the highest, and a floor that no top-p cutoff is below. Of a strip whose
 * highest rank is not below a floor, the others have no more than that floor's mass if they are below it; so at least
 *
 *     Σ over strips with top ≥ floor of: mass(top) + max(0, mass of the others − (STRIP − 1) · mass(floor))
 *
 * is at and above the floor. The floor is the highest in steps of 1/8 below the highest logit for which that is topP of all mass; where
 * none is, it is so low that `count` ranks below it have less than half of 1 − topP. The same numbers bound how many ranks there are from
 * the floor on: if these are many, they go to buckets. One workgroup.
 */
export const cutoffMassFloorKernel = new Kernel(
  "cutoffMassFloor",
  `
@group(0) @binding(0) var<storage, read> tops: array<u32>;           // [rows, strips] highest ranks
@group(0) @binding(1) var<storage, read_write> search: array<u32>;   // [rows, SEARCH_SIZE]
@group(0) @binding(2) var<storage, read> masses: array<f32>;         // [rows, strips] over that of the strip's highest rank
${SEARCH_STATE}
${HIGHEST_OF_LANES}
${SUM_OF_LANES}

const STEPS = 65536u;          // of LANES strips; there are never so many
const NONE_ENOUGH = 255u;      // steps of the floor
const STEP = 0.125;            // as a difference of logits

// Masses over that of the highest rank. A strip without a number has none.
struct Masses { all: f32, top: f32, others: f32 }

// Strips are counted from the first one of all rows.
fn massesOf(strip: u32, highest: f32) -> Masses {
  let top = exp(floatOf(max(tops[strip], LOWEST)) - highest);
  let all = masses[strip] * top;
  return Masses(all, min(top, all), max(all - top, 0.0));
}

fn massOfRanks(ranks: vec3u, highest: f32) -> vec3f {
  return exp(vec3f(floatOf(ranks.x), floatOf(ranks.y), floatOf(ranks.z)) - highest);
}

// What is at and above each of three ranks at least.
fn leastMassAbove(start: u32, lane: u32, highest: f32, tried: vec3u) -> vec3f {
  let below = f32(STRIP - 1u) * massOfRanks(tried, highest);
  var own = vec3f();
  for (var step = 0u; step < STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.strips) { break; }
    let strip = massesOf(start + i, highest);
    own += select(vec3f(), strip.top + max(strip.others - below, vec3f()), vec3u(tops[start + i]) >= tried);
  }
  return sumOfLanes(lane, own);
}

// How many ranks are at and above a rank at most: each of them has its mass.
fn mostAbove(start: u32, lane: u32, highest: f32, low: u32) -> f32 {
  let least = max(massOfRanks(vec3u(low), highest).x, 1e-37);
  var own = 0.0;
  for (var step = 0u; step < STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.strips) { break; }
    if (tops[start + i] >= low) { own += min(1.0 + massesOf(start + i, highest).others / least, f32(STRIP)); }
  }
  return sumOfLanes(lane, vec3f(own)).x;
}

fn rankAt(step: u32, highest: f32) -> u32 { return max(rankOf(highest - f32(step) * STEP), LOWEST); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = rowStart(row, params.strips);
  let state = rowStart(row, SEARCH_SIZE);
  // Online softmax, as in rankLogits.
  var ownTop = LOWEST;
  var ownMass = 0.0;
  for (var step = 0u; step < STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.strips) { break; }
    let rise = floatOf(max(tops[start + i], LOWEST)) - floatOf(ownTop);
    let weight = exp(-abs(rise));
    ownMass = select(ownMass + masses[start + i] * weight, ownMass * weight + masses[start + i], rise > 0.0);
    ownTop = max(ownTop, tops[start + i]);
  }
  let top = highestOfLanes(lane, ownTop);
  let highest = floatOf(top);
  let mass = sumOfLanes(lane, vec3f(ownMass * exp(floatOf(ownTop) - highest))).x;
  // Wider than rounding.
  let wanted = topPOf(row) * mass * 1.0001;
  // How many steps are not enough: two bits at a time.
  var found = 0u;
  for (var digit = 0u; digit < 4u; digit++) {
    let size = 64u >> (2u * digit);
    let tried = vec3u(found) + vec3u(1u, 2u, 3u) * size - 1u;
    let ranks = vec3u(rankAt(tried.x, highest), rankAt(tried.y, highest), rankAt(tried.z, highest));
    let lacking = vec3u(leastMassAbove(start, lane, highest, ranks) < vec3f(wanted));
    found += size * (lacking.x + lacking.y + lacking.z);
  }
  var low = max(LOWEST, rankOf(highest + log((1.0 - topPOf(row)) * mass / f32(2u * params.count))));
  if (found < NONE_ENOUGH) { low = max(low, rankAt(found, highest)); }
  var byBucket = false;
  if (BUCKETED == 1u) { byBucket = mostAbove(start, lane, highest, low) > f32(LISTABLE); }
  prepare(row, lane);
  if (lane == 0u) {
    search[state + HIGHEST] = top;
    search[state + FLOOR] = low;
    search[state + BY_BUCKET] = u32(byBucket);
    search[state + LISTED] = 0u;
    search[state + MASS] = bitcast<u32>(mass);
  }
}
`,
  { LANES: 64, STRIP: 32, BUCKETED: 1, LISTABLE },
);

export const MASS_FLOOR_HEADER = rowHeader(["count", "strips"], ["topP"]);
