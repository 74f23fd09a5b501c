import type { AdapterFacts } from "../runtime/adapter.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { RANK_OF } from "./argmax.js";

/** Applies bias, penalties, temperature and mask to the logits and returns ranks; excluded tokens have rank 0, which no number has. */
export const rankLogitsKernel = new Kernel(
  "rankLogits",
  `
struct Params { count: u32, inverseTemperature: f32, repetition: f32, presence: f32, frequency: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;            // [count or more]
@group(0) @binding(1) var<storage, read_write> ranks: array<u32>;  // [count]
${RANK_OF}

// RANKS logits per workgroup.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var top = 0u;
  for (var step = 0u; step < RANKS / LANES; step++) {
    let i = group.x * RANKS + step * LANES + lane;
    if (i < params.count) {
      let rank = select(0u, rankOf(penalised(i, biased(i, x[i])) * params.inverseTemperature), allowed(i));
      ranks[i] = rank;
      top = max(top, rank);
    }
  }
  prepare(group.x, lane, top);
}
`,
  { LANES: 64, RANKS: 2048 },
);

/** Barriers dominate on CPU adapters. */
const ON_CPU = { LANES: 32, RANKS: 8192 };

/** WGSL of the repetition, presence and frequency penalties. */
export const PENALISED = {
  no: "fn penalised(i: u32, e: f32) -> f32 { return e; }",
  yes: `
@group(0) @binding(2) var<storage, read> counts: array<u32>;  // [count] occurrences of each token in the answer

fn penalised(i: u32, e: f32) -> f32 {
  let n = counts[i];
  if (n == 0u) { return e; }
  var d = e * params.repetition;
  if (e > 0.0) { d = divided(e, params.repetition); }
  return d - params.presence - params.frequency * f32(n);
}

// a / b, correctly rounded, for positive a and b: WGSL allows division an error of 2.5 ULP.
fn divided(a: f32, b: f32) -> f32 {
  let rough = a / b;
  let by = (bitcast<u32>(b) & 0x7fffffu) | 0x800000u;
  var rest = (bitcast<u32>(a) & 0x7fffffu) | 0x800000u;
  var exponent = i32(bitcast<u32>(a) >> 23u) - i32(bitcast<u32>(b) >> 23u) + 127;
  if (rest < by) { rest *= 2u; exponent -= 1; }
  // Subnormal and overflowing quotients keep the adapter's rounding.
  if (exponent < 1 || exponent > 253 || bitcast<u32>(a) < 0x800000u || bitcast<u32>(a) >= 0x7f800000u) { return rough; }
  var quotient = 0u;
  for (var i = 0u; i < 24u; i++) {
    quotient *= 2u;
    if (rest >= by) { rest -= by; quotient += 1u; }
    rest *= 2u;
  }
  return bitcast<f32>((u32(exponent) << 23u) + (quotient - 0x800000u) + select(0u, 1u, rest >= by));
}`,
};

/** WGSL of the logit bias. */
export const BIASED = {
  no: "fn biased(i: u32, e: f32) -> f32 { return e; }",
  yes: `
@group(0) @binding(4) var<storage, read> bias: array<f32>;  // [count]
fn biased(i: u32, e: f32) -> f32 { return e + bias[i]; }`,
};

/** WGSL of the token mask. */
export const ALLOWED = {
  all: "fn allowed(i: u32) -> bool { return true; }",
  masked: `
@group(0) @binding(3) var<storage, read> mask: array<u32>;  // [ceil(count / 32)] one bit per token
fn allowed(i: u32) -> bool { return ((mask[i / 32u] >> (i % 32u)) & 1u) == 1u; }`,
};

/** WGSL that prepares the search for a sampling cutoff: the highest rank of each workgroup, and empty buckets. */
export const SEARCHED = {
  no: "fn prepare(group: u32, lane: u32, top: u32) {}",
  yes: `
@group(0) @binding(5) var<storage, read_write> tops: array<u32>;     // [workgroups]
@group(0) @binding(6) var<storage, read_write> buckets: array<u32>;

fn prepare(group: u32, lane: u32, top: u32) {
  if (group == 0u) {
    for (var step = 0u; step < BUCKET_WORDS / LANES; step++) { buckets[step * LANES + lane] = 0u; }
  }
  let highest = highestOfLanes(lane, top);
  if (lane == 0u) { tops[group] = highest; }
}`,
};

/** WGSL of the maximum over the lanes of a workgroup. */
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

/** Tensors that {@link SEARCHED} fills: `tops`, as many u32 as there are workgroups, and `buckets`, u32. */
export interface SearchTensors {
  readonly tops: Tensor;
  readonly buckets: Tensor;
}

/** Returns the number of workgroups for `count` logits. */
export function rankWorkgroups(count: number, { onCPU }: AdapterFacts): number {
  return Math.ceil(count / (onCPU ? ON_CPU : rankLogitsKernel.constants).RANKS);
}

export interface Penalties {
  /**
   * Repetition penalty (arXiv 1909.05858): divides positive logits of tokens in the answer and multiplies negative ones, in f32.
   */
  readonly repetition: number;
  /** Subtracted from the logits of tokens that occur in the answer. */
  readonly presence: number;
  /** Subtracted from the logit of a token once per occurrence. */
  readonly frequency: number;
}

/**
 * Returns order-preserving ranks `[count]` u32 of logits `[1, V]` f32 over `temperature`, 0 for excluded tokens.
 * `counts` `[count]` u32: occurrences of each token in the answer; `mask` `[ceil(count / 32)]` u32: a bit for each allowed token;
 * `bias` `[count]` f32: added to the logits before the penalties; `search`: prepared for `rankWithCutoff`.
 */
export function rankLogits(
  logits: Tensor,
  count: number,
  temperature: number,
  penalties: Penalties,
  tensors: { counts?: Tensor | undefined; mask?: Tensor | undefined; bias?: Tensor | undefined },
  search?: SearchTensors,
): Tensor {
  const { device } = logits;
  const { counts, mask, bias } = tensors;
  const ranks = device.empty([count], "u32", "ranks");
  const kernel = rankLogitsKernel.variant(
    device.facts.onCPU ? ON_CPU : {},
    bias ? BIASED.yes : BIASED.no,
    counts ? PENALISED.yes : PENALISED.no,
    mask ? ALLOWED.masked : ALLOWED.all,
    ...(search ? [`const BUCKET_WORDS = ${search.buckets.length}u;`, HIGHEST_OF_LANES, SEARCHED.yes] : [SEARCHED.no]),
  );
  device.run(
    kernel,
    { x: logits, ranks, ...(counts && { counts }), ...(mask && { mask }), ...(bias && { bias }), ...search },
    { count, inverseTemperature: 1 / temperature, ...penalties },
    [rankWorkgroups(count, device.facts)],
  );
  return ranks;
}
