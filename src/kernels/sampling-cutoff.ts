import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { RANK_OF } from "./argmax.js";

/**
 * The cutoff rank that is drawn from. Nothing is sorted: the rank is found digit by digit, two bits at a time, as the highest one
 * at and above which there are enough elements, or enough of their probability.
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

// The probability of a rank, but for a factor; or one, to count.
fn weight(rank: u32, highest: f32, byMass: bool) -> f32 {
  return select(1.0, exp(floatOf(max(rank, LOWEST)) - highest), byMass);
}

// The highest rank, not below low, at and above which the weights are what is wanted, or more.
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

/** Barriers are what costs on the CPU. */
const ON_CPU = { LANES: 32 };

/** The tokens that an answer draws among; each bound holds for what the ones before it leave. */
export interface Truncation {
  /** The most probable ones, as many as this, more where some are equal; 0 for all. */
  readonly topK: number;
  /** The most probable ones that have at cutoff this probability together; 1 for all. */
  readonly topP: number;
  /** Those at cutoff this much as probable as the most probable one; 0 for all. */
  readonly minP: number;
}

/** The cutoff rank, `[1]` u32, that is drawn from: ranks `[count]` u32 of logits over a temperature. */
export function samplingCutoff(ranks: Tensor, { topK, topP, minP }: Truncation): Tensor {
  const { device } = ranks;
  const cutoff = device.empty([1], "u32", "cutoff");
  const kernel = samplingCutoffKernel.variant(device.facts.onCPU ? ON_CPU : {});
  // A float beyond which no logit is that much less probable.
  const logMinP = minP > 0 ? Math.log(minP) : -3e38;
  device.run(kernel, { ranks, cutoff }, { count: ranks.length, topK, topP, logMinP }, [1]);
  return cutoff;
}
