import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { RANK_OF } from "./argmax.js";
import { type Penalties, rankLogits, rankWorkgroups } from "./rank-logits.js";

/** Bins of a histogram: of the upper or the lower 16 bits of a rank. */
const BINS = 65536;

/** Numbers of the search: the bin of the top-k cutoff, tokens wanted in it, that cutoff, the bin of the top-p cutoff, mass wanted in it. */
const SEARCH_SIZE = 6;

const SEARCH = `
const LOWEST = 0x00800001u;  // above the rank of minus infinity
const TOP_K_BIN = 0u;
const TOP_K_WANTED = 1u;
const TOP_K_CUTOFF = 2u;
const TOP_P_BIN = 3u;
const TOP_P_WANTED = 4u;  // and the next
${RANK_OF}`;

/**
 * Histogram of ranks by their upper 16 bits, or by their lower 16 bits within one bin of the upper: how many there are, and their
 * probability mass. Masses are fixed-point numbers in three words of WORD_BITS, so that sums are exact and do not depend on their order.
 */
export const cutoffHistogramKernel = new Kernel(
  "cutoffHistogram",
  `
struct Params { count: u32, groups: u32, histogram: u32 }
@group(0) @binding(0) var<storage, read> ranks: array<u32>;                // [count]
@group(0) @binding(1) var<storage, read> tops: array<u32>;                 // [groups] highest ranks
@group(0) @binding(2) var<storage, read> search: array<u32>;               // the search so far
@group(0) @binding(3) var<storage, read_write> bins: array<atomic<u32>>;   // [3, BINS, 4]
${SEARCH}
var<workgroup> top: atomic<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var i = 0u; i < MOST_STEPS; i++) {
    let at = i * LANES + lane;
    if (at >= params.groups) { break; }
    atomicMax(&top, tops[at]);
  }
  workgroupBarrier();
  let highest = floatOf(max(atomicLoad(&top), LOWEST));
  var lowest = LOWEST;
  if (params.histogram == 2u) { lowest = search[TOP_K_CUTOFF]; }
  var wanted = 0u;
  if (params.histogram > 0u) { wanted = search[select(TOP_K_BIN, TOP_P_BIN, params.histogram == 2u)]; }
  for (var i = 0u; i < RANKS / LANES; i++) {
    let at = group.x * RANKS + i * LANES + lane;
    if (at >= params.count) { break; }
    let rank = ranks[at];
    if (rank < lowest || (params.histogram > 0u && rank >> 16u != wanted)) { continue; }
    let bin = 4u * (params.histogram * BINS + select(rank & 0xffffu, rank >> 16u, params.histogram == 0u));
    if (BY_COUNT == 1u) { atomicAdd(&bins[bin], 1u); }
    if (BY_MASS == 0u) { continue; }
    var rest = exp(floatOf(rank) - highest);
    for (var word = 1u; word < 4u; word++) {
      rest *= f32(1u << WORD_BITS);
      let digits = u32(rest);
      rest -= f32(digits);
      if (digits > 0u) { atomicAdd(&bins[bin + word], digits); }
    }
  }
}
`,
  { LANES: 128, RANKS: 1024, BINS, WORD_BITS: 14, BY_COUNT: 1, BY_MASS: 1, MOST_STEPS: 65536 },
);

/**
 * Finds the bin of a cutoff in the histograms: the highest at and above which there are so many tokens, or so much mass. One workgroup;
 * STAGE 1 finds the bin of the top-k cutoff, 2 that cutoff and then the bin of the top-p cutoff, 3 the top-p cutoff.
 */
export const cutoffSearchKernel = new Kernel(
  "cutoffSearch",
  `
struct Params { groups: u32, topK: u32, topP: f32, logMinP: f32 }
@group(0) @binding(0) var<storage, read> bins: array<vec4u>;           // [3, BINS] tokens, and three words of mass
@group(0) @binding(1) var<storage, read> tops: array<u32>;             // [groups] highest ranks
@group(0) @binding(2) var<storage, read_write> search: array<u32>;
@group(0) @binding(3) var<storage, read_write> cutoff: array<u32>;     // [1]
${SEARCH}

const OWN = BINS / LANES;  // bins of a lane
const NONE = 0xffffffffu;
var<workgroup> sums: array<vec2u, LANES>;
var<workgroup> own: array<vec2u, OWN>;
var<workgroup> found: u32;
var<workgroup> above: vec2u;
var<workgroup> top: atomic<u32>;

// Numbers of 64 bits, the lower word first.
fn plus(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn minus(a: vec2u, b: vec2u) -> vec2u { return vec2u(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn isLess(a: vec2u, b: vec2u) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn shifted(a: u32, by: u32) -> vec2u { return vec2u(a << by, a >> (32u - by)); }
// The number times a float of at most 1, at least 1.
fn times(a: vec2u, by: f32) -> vec2u {
  let product = (f32(a.y) * 4294967296.0 + f32(a.x)) * by;
  let high = u32(product / 4294967296.0);
  return max(vec2u(u32(product - f32(high) * 4294967296.0), high), vec2u(select(0u, 1u, high == 0u), 0u));
}

// Tokens or mass of a bin; above the top-k bin all, in it those at and above the cutoff where \`within\` says so.
fn weightAt(histogram: u32, bin: u32, byMass: bool) -> vec2u {
  let words = bins[histogram * BINS + bin];
  if (!byMass) { return vec2u(words.x, 0u); }
  return plus(plus(shifted(words.y, 2u * WORD_BITS), shifted(words.z, WORD_BITS)), vec2u(words.w, 0u));
}

// The mass of the upper bins that the top-k cutoff leaves: nothing below its bin, and in its bin what is given.
fn leftAt(bin: u32, cutBin: u32, inCutBin: vec2u) -> vec2u {
  if (bin < cutBin) { return vec2u(); }
  if (bin == cutBin && TOP_K == 1u) { return inCutBin; }
  return weightAt(0u, bin, true);
}

fn valueAt(mode: u32, bin: u32, cutBin: u32, inCutBin: vec2u) -> vec2u {
  if (mode == 0u) { return weightAt(0u, bin, false); }
  if (mode == 1u) { return weightAt(1u, bin, false); }
  if (mode == 2u) { return leftAt(bin, cutBin, inCutBin); }
  return weightAt(2u, bin, true);
}

// Sums the bins of every lane, from the highest lane of bins down: lane 0 has the highest bins.
fn sumBins(lane: u32, mode: u32, cutBin: u32, inCutBin: vec2u) {
  var sum = vec2u();
  for (var i = 0u; i < OWN; i++) { sum = plus(sum, valueAt(mode, BINS - 1u - lane * OWN - i, cutBin, inCutBin)); }
  workgroupBarrier();
  sums[lane] = sum;
  workgroupBarrier();
}

fn total() -> vec2u {
  var all = vec2u();
  for (var i = 0u; i < LANES; i++) { all = plus(all, sums[i]); }
  return all;
}

// After sumBins: \`found\` is the highest bin at and above which there is at least \`wanted\`, or NONE; \`above\` is what lies above it.
fn find(lane: u32, mode: u32, cutBin: u32, inCutBin: vec2u, wanted: vec2u) {
  if (lane == 0u) {
    var sum = vec2u();
    found = NONE;
    for (var i = 0u; i < LANES; i++) {
      let next = plus(sum, sums[i]);
      if (!isLess(next, wanted)) { found = i; break; }
      sum = next;
    }
    above = sum;
  }
  let segment = workgroupUniformLoad(&found);
  if (segment == NONE) { return; }
  let first = BINS - 1u - segment * OWN;
  for (var i = lane; i < OWN; i += LANES) { own[i] = valueAt(mode, first - i, cutBin, inCutBin); }
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 0u; i < OWN; i++) {
      let next = plus(above, own[i]);
      if (!isLess(next, wanted)) { found = first - i; break; }
      above = next;
    }
  }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var i = 0u; i < MOST_STEPS; i++) {
    let at = i * LANES + lane;
    if (at >= params.groups) { break; }
    atomicMax(&top, tops[at]);
  }
  var result = LOWEST;
  if (STAGE == 1u) {
    sumBins(lane, 0u, 0u, vec2u());
    find(lane, 0u, 0u, vec2u(), vec2u(params.topK, 0u));
    if (lane == 0u) {
      // With fewer tokens than k all are kept: more are wanted of the lowest bin than it can have.
      search[TOP_K_BIN] = select(found, LOWEST >> 16u, found == NONE);
      search[TOP_K_WANTED] = select(params.topK - above.x, NONE, found == NONE);
    }
    return;
  }
  if (STAGE == 2u) {
    var cutBin = LOWEST >> 16u;
    var inCutBin = vec2u();
    if (TOP_K == 1u) {
      cutBin = search[TOP_K_BIN];
      sumBins(lane, 1u, 0u, vec2u());
      find(lane, 1u, 0u, vec2u(), vec2u(search[TOP_K_WANTED], 0u));
      let sub = workgroupUniformLoad(&found);
      result = select(max((cutBin << 16u) | sub, LOWEST), LOWEST, sub == NONE);
      // The mass of the bin from the cutoff on.
      var sum = vec2u();
      for (var i = lane; i < BINS; i += LANES) {
        if (i >= (result & 0xffffu)) { sum = plus(sum, weightAt(1u, i, true)); }
      }
      workgroupBarrier();
      sums[lane] = sum;
      workgroupBarrier();
      inCutBin = total();
    }
    if (lane == 0u) { search[TOP_K_CUTOFF] = result; }
    if (TOP_P == 1u) {
      sumBins(lane, 2u, cutBin, inCutBin);
      let wanted = times(total(), params.topP);
      find(lane, 2u, cutBin, inCutBin, wanted);
      if (lane == 0u) {
        let rest = minus(wanted, above);
        search[TOP_P_BIN] = select(found, result >> 16u, found == NONE);
        search[TOP_P_WANTED] = select(rest.x, NONE, found == NONE);
        search[TOP_P_WANTED + 1u] = select(rest.y, NONE, found == NONE);
      }
      return;
    }
  }
  if (STAGE == 3u) {
    result = search[TOP_K_CUTOFF];
    sumBins(lane, 3u, 0u, vec2u());
    find(lane, 3u, 0u, vec2u(), vec2u(search[TOP_P_WANTED], search[TOP_P_WANTED + 1u]));
    if (found != NONE) { result = max(result, (search[TOP_P_BIN] << 16u) | found); }
  }
  workgroupBarrier();
  let highest = floatOf(max(atomicLoad(&top), LOWEST));
  if (lane == 0u) { cutoff[0] = max(result, rankOf(highest + params.logMinP)); }
}
`,
  { LANES: 256, BINS, WORD_BITS: 14, STAGE: 1, TOP_K: 1, TOP_P: 1, MOST_STEPS: 65536 },
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

/** Barriers dominate on CPU adapters. */
const SEARCH_ON_CPU = { LANES: 64 };

/**
 * Ranks logits as `rankLogits` does, and returns with the ranks the top-k/top-p/min-p cutoff, `[1]` u32: the smallest rank with nonzero
 * probability. The exact cutoff is found without sorting, in at most three histograms of the ranks.
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
  const [TOP_K, TOP_P] = [topK > 0 ? 1 : 0, topP < 1 ? 1 : 0];
  const groups = rankWorkgroups(count);
  const tops = device.empty([groups], "u32", "tops");
  const bins = device.empty([TOP_K || TOP_P ? 3 * BINS : 1, 4], "u32", "bins");
  const search = device.empty([SEARCH_SIZE], "u32", "search");
  const cutoff = device.empty([1], "u32", "cutoff");
  const ranks = rankLogits(logits, count, temperature, penalties, tensors, { tops, bins });
  // Sums of as many words as there are ranks fit 32 bits.
  const WORD_BITS = Math.min(14, 31 - Math.floor(Math.log2(count)));
  const histogram = (index: number, byCount: number, byMass: number): void => {
    const kernel = cutoffHistogramKernel.variant({ WORD_BITS, BY_COUNT: byCount, BY_MASS: byMass });
    const grid = [Math.ceil(count / kernel.constants.RANKS)] as const;
    device.run(kernel, { ranks, tops, search, bins }, { count, groups, histogram: index }, grid);
  };
  // -3e38 is below every difference of logits.
  const parameters = { groups, topK, topP, logMinP: minP > 0 ? Math.log(minP) : -3e38 };
  const find = (STAGE: number): void => {
    const constants = { WORD_BITS, STAGE, TOP_K, TOP_P, ...(device.facts.onCPU && SEARCH_ON_CPU) };
    device.run(cutoffSearchKernel.variant(constants), { bins, tops, search, cutoff }, parameters, [1]);
  };
  if (TOP_K || TOP_P) histogram(0, TOP_K, TOP_P);
  if (TOP_K) {
    find(1);
    histogram(1, 1, TOP_P);
  }
  find(2);
  if (TOP_P) {
    histogram(2, 0, 1);
    find(3);
  }
  return { ranks, cutoff };
}
