import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { RANK_OF } from "./argmax.js";

/**
 * Finds the top-k/top-p/min-p cutoff, the smallest rank that survives, without sorting: a radix search over the rank's bits, two at a
 * time, for the highest rank at and above which there are `topK` elements, or `topP` of the probability mass.
 */
export const samplingCutoffKernel = new Kernel(
  "samplingCutoff",
  `
struct Params { count: u32, topK: f32, topP: f32, logMinP: f32 }
@group(0) @binding(0) var<storage, read> ranks: array<u32>;        // [count]
@group(0) @binding(1) var<storage, read_write> cutoff: array<u32>;  // [1]
${RANK_OF}

const LOWEST = 0x00800001u;  // above the rank of minus infinity

var<workgroup> sums: array<vec3f, LANES>;
var<workgroup> tops: array<u32, LANES>;

fn sumOfLanes(lane: u32, own: vec3f) -> vec3f {
  sums[lane] = own;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { sums[lane] += sums[lane + step]; }
    workgroupBarrier();
  }
  let sum = sums[0];
  workgroupBarrier();
  return sum;
}

fn highestOfLanes(lane: u32, own: u32) -> u32 {
  tops[lane] = own;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { tops[lane] = max(tops[lane], tops[lane + step]); }
    workgroupBarrier();
  }
  return tops[0];
}

// The unnormalised probability of a rank; or 1, to count elements.
fn weight(rank: u32, highest: f32, byMass: bool) -> f32 {
  return select(1.0, exp(floatOf(max(rank, LOWEST)) - highest), byMass);
}

// The highest rank, at least low, at and above which the weights sum to at least wanted.
fn search(lane: u32, low: u32, highest: f32, byMass: bool, wanted: f32) -> u32 {
  var found = 0u;
  for (var digit = 0u; digit < 16u; digit++) {
    let step = 1u << (30u - 2u * digit);
    let tried = max(vec3u(found + step, found + 2u * step, found + 3u * step), vec3u(low));
    var own = vec3f(0.0);
    for (var i = lane; i < params.count; i += LANES) {
      let rank = ranks[i];
      own += select(vec3f(0.0), vec3f(weight(rank, highest, byMass)), vec3u(rank) >= tried);
    }
    let enough = vec3u(sumOfLanes(lane, own) >= vec3f(wanted));
    found += step * (enough.x + enough.y + enough.z);
  }
  return max(found, low);
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var own = 0u;
  for (var i = lane; i < params.count; i += LANES) { own = max(own, ranks[i]); }
  let top = highestOfLanes(lane, own);
  let highest = floatOf(max(top, LOWEST));
  var low = LOWEST;
  if (params.topK > 0.0) { low = search(lane, low, highest, false, params.topK); }
  if (params.topP < 1.0) {
    var mass = 0.0;
    for (var i = lane; i < params.count; i += LANES) {
      if (ranks[i] >= low) { mass += weight(ranks[i], highest, true); }
    }
    low = search(lane, low, highest, true, params.topP * sumOfLanes(lane, vec3f(mass)).x);
  }
  low = max(low, rankOf(highest + params.logMinP));
  if (lane == 0u) { cutoff[0] = low; }
}
`,
  { LANES: 128 },
);

/** Barriers dominate on CPU adapters. */
const ON_CPU = { LANES: 32 };

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

/** Returns the cutoff, `[1]` u32: the smallest rank with nonzero probability. ranks `[count]` u32 of logits over a temperature. */
export function samplingCutoff(ranks: Tensor, { topK, topP, minP }: Truncation): Tensor {
  const { device } = ranks;
  const cutoff = device.empty([1], "u32", "cutoff");
  const kernel = samplingCutoffKernel.variant(device.facts.onCPU ? ON_CPU : {});
  // -3e38 is below every difference of logits.
  const logMinP = minP > 0 ? Math.log(minP) : -3e38;
  device.run(kernel, { ranks, cutoff }, { count: ranks.length, topK, topP, logMinP }, [1]);
  return cutoff;
}
