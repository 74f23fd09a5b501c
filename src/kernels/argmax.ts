import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { ABSENT, type ChoiceRows, oneChoice, PLAIN_CHOICE, rowHeader, runRows } from "./choice-rows.js";

/**
 * WGSL that maps floats to order-preserving u32 ranks. Adapters may assume that no float is NaN, so floats are compared as
 * ranks.
 */
export const RANK_OF = `
const LOWEST = 0x00800001u;  // above the rank of minus infinity

// Order-preserving: NaN maps to 0, and -0 and +0 to the same rank.
fn rankOf(e: f32) -> u32 {
  let bits = bitcast<u32>(e);
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return 0u; }
  return select(0x80000000u + size, 0x80000000u - size, bits != size);
}

// The float of a rank above 0.
fn floatOf(rank: u32) -> f32 {
  return bitcast<f32>(select(0x80000000u | (0x80000000u - rank), rank - 0x80000000u, rank >= 0x80000000u));
}`;

/** WGSL tree reduction over the lanes of a workgroup: lane 0 gets the highest rank and its index, the lowest index among equals. */
const BEST_LANE = `
var<workgroup> ranks: array<u32, LANES>;
var<workgroup> places: array<u32, LANES>;

fn keepBest(lane: u32, rank: u32, place: u32) {
  ranks[lane] = rank;
  places[lane] = place;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) {
      let other = lane + reach;
      if (ranks[other] > ranks[lane] || (ranks[other] == ranks[lane] && places[other] < places[lane])) {
        ranks[lane] = ranks[other];
        places[lane] = places[other];
      }
    }
    workgroupBarrier();
  }
}`;

/** WGSL of the first element of a strip: STRIP of one lane, LANES apart, so that neighbouring lanes read consecutive ones. */
export const FIRST_OF = "fn firstOf(strip: u32) -> u32 { return strip / LANES * (LANES * STRIP) + strip % LANES; }";

/** First stage of the argmax: the maximum of each slice, which is the strips of a workgroup. */
export const argmaxKernel = new Kernel(
  "argmax",
  `
@group(0) @binding(0) var<storage, read> x: array<Element>;       // [rows, count or more]
@group(0) @binding(1) var<storage, read_write> best: array<vec2u>;  // [rows, slices] rank and index
${RANK_OF}
${BEST_LANE}

${FIRST_OF}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = startOf(row);
  var rank = 0u;
  var place = 0xffffffffu;
  for (var part = 0u; part < PARTS; part++) {
    let strip = (group.x * PARTS + part) * LANES + lane;
    let first = firstOf(strip);
    let end = select(0u, params.count, mayHaveBest(row, strip));
    for (var step = 0u; step < STRIP; step++) {
      let i = first + step * LANES;
      if (i >= end) { break; }
      let own = rankAt(row, start, i);
      if (own > rank) { rank = own; place = i; }
    }
  }
  keepBest(lane, rank, place);
  if (lane == 0u) { best[rowStart(row, params.slices) + group.x] = vec2u(ranks[0], places[0]); }
}
`,
  { LANES: 128, PARTS: 1, STRIP: 16 },
);

/**
 * Barriers dominate on CPU adapters, so lanes are fewer and slices longer: 0.4 ms instead of 1.0 ms for 151,936 logits on two
 * cores.
 */
const ON_CPU = { LANES: 32, PARTS: 1, STRIP: 256 };

/** What the first stage compares: f32 elements, ranks, or ranks with Gumbel noise. */
export const RANK_AT = {
  element: `
alias Element = f32;
fn startOf(row: u32) -> u32 { return firstLogitOf(row); }
fn mayHaveBest(row: u32, strip: u32) -> bool { return true; }
fn rankAt(row: u32, start: u32, i: u32) -> u32 { return rankOf(x[start + i]); }`,
  rank: `
alias Element = u32;
fn startOf(row: u32) -> u32 { return rowStart(row, params.count); }
fn mayHaveBest(row: u32, strip: u32) -> bool { return true; }
fn rankAt(row: u32, start: u32, i: u32) -> u32 { return x[start + i]; }`,
  /**
   * Gumbel-max sampling (Gumbel 1954; arXiv 1611.01144, section 2): the argmax of logits/T plus independent Gumbel(0, 1) noise is a
   * sample from softmax(logits/T). The noise is a function of the RNG key and the token id.
   */
  sampled: `
alias Element = u32;
@group(0) @binding(2) var<storage, read> cutoff: array<u32>;  // [rows] ranks below it have probability 0
@group(0) @binding(3) var<storage, read> tops: array<u32>;    // [rows, strips] highest ranks

fn startOf(row: u32) -> u32 { return rowStart(row, params.count); }

fn mayHaveBest(row: u32, strip: u32) -> bool { return tops[rowStart(row, params.strips) + strip] >= cutoff[row]; }

fn rankAt(row: u32, start: u32, i: u32) -> u32 {
  if (x[start + i] < cutoff[row]) { return 0u; }
  return rankOf(floatOf(x[start + i]) + gumbel(mixed(mixed(i ^ upperKeyOf(row)) + lowerKeyOf(row))));
}

// The 32-bit hash finalizer lowbias32 (C. Wellons, "hash-prospector"): every output bit depends on every input bit.
fn mixed(n: u32) -> u32 {
  var m = (n ^ (n >> 16u)) * 0x7feb352du;
  m = (m ^ (m >> 15u)) * 0x846ca68bu;
  return m ^ (m >> 16u);
}

// -log(-log(1 - v)) for v uniform in (0, 1): large noise comes from small v, which floats represent exactly.
fn gumbel(bits: u32) -> f32 {
  let v = min((f32(bits) + 0.5) * 0x1p-32, 0.9999999);
  return -log(select(-log(1.0 - v), v * (1.0 + v * (0.5 + v / 3.0)), v < 0.01));
}`,
};

/** Second stage: the maximum over the slices' maxima. */
export const argmaxMergeKernel = new Kernel(
  "argmaxMerge",
  `
@group(0) @binding(0) var<storage, read> best: array<vec2u>;   // [rows, slices] rank and index
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
${BEST_LANE}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = rowStart(row, params.slices);
  var rank = 0u;
  var place = 0xffffffffu;
  // A constant bound proves that the loop ends; there are never so many slices.
  for (var step = 0u; step < 65536u; step++) {
    let i = step * LANES + lane;
    if (i >= params.slices) { break; }
    if (best[start + i].x > rank) { rank = best[start + i].x; place = best[start + i].y; }
  }
  keepBest(lane, rank, place);
  if (lane == 0u) {
    y[tokenPlaceOf(row)] = places[0];
    keep(row, places[0]);
  }
}
`,
  { LANES: 64 },
);

/** What the second stage does with the chosen index besides returning it. */
export const KEEP = {
  nothing: "fn keep(row: u32, place: u32) {}",
  answer: `
@group(0) @binding(2) var<storage, read_write> answer: array<u32>;
fn keep(row: u32, place: u32) { answer[answerPlaceOf(row)] = place; }`,
  answerAndCount: `
@group(0) @binding(2) var<storage, read_write> answer: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;  // [count] occurrences of each token in the answer
fn keep(row: u32, place: u32) {
  answer[answerPlaceOf(row)] = place;
  let first = firstCountOf(row);
  if (place < params.count && first != ${ABSENT}u) { counts[first + place] += 1u; }
}`,
};

const SLICES = {
  element: rowHeader(["count", "slices"], ["firstLogit"]),
  rank: rowHeader(["count", "slices"], []),
  sampled: rowHeader(["count", "slices", "strips"], ["upperKey", "lowerKey"]),
};
const MERGE = rowHeader(["count", "slices"], ["tokenPlace", "answerPlace", "firstCount"]);

/**
 * Runs the first stage over the first `count` elements of each row of x. Returns rank and index per slice, `[rows, slices, 2]` u32.
 * `tensors`: for "sampled", the cutoff of each row and the highest ranks of its strips, which have the lanes and lengths `strips`.
 */
export function bestOfSlices(
  x: Tensor,
  rankAt: keyof typeof RANK_AT,
  count: number,
  rows: ChoiceRows,
  tensors?: { cutoff: Tensor; tops: Tensor },
  strips: Partial<typeof argmaxKernel.constants> = {},
): Tensor {
  const { device } = x;
  const kernel = argmaxKernel.variant({ ...(device.facts.onCPU && ON_CPU), ...strips }, RANK_AT[rankAt]);
  const { LANES, PARTS, STRIP } = kernel.constants;
  const slices = Math.ceil(count / (LANES * PARTS * STRIP));
  const best = device.empty([rows.count, slices, 2], "u32", "best");
  const common = { count, slices, ...(tensors && { strips: tensors.tops.size(-1) }) };
  runRows(device, kernel, SLICES[rankAt], rows, { x, best, ...tensors }, common, slices);
  return best;
}

/** Second stage of each row: writes the index of the best to `y`, and with `answer` and `counts` as `keep` says. */
export function mergeSlices(
  best: Tensor,
  keep: keyof typeof KEEP,
  count: number,
  rows: ChoiceRows,
  tensors: { y: Tensor; answer?: Tensor; counts?: Tensor },
): void {
  const kernel = argmaxMergeKernel.variant({}, KEEP[keep]);
  runRows(best.device, kernel, MERGE, rows, { best, ...tensors }, { count, slices: best.size(1) }, 1);
}

/**
 * Index of the largest of the first `count` elements, the lowest among equals: x `[…]` f32, result `[1]` u32 (2³²−1 if none is a
 * number).
 */
export function argmax(x: Tensor, count: number): Tensor {
  const y = x.device.empty([1], "u32", "argmax");
  const rows = oneChoice(PLAIN_CHOICE);
  const best = bestOfSlices(x, "element", count, rows);
  mergeSlices(best, "nothing", count, rows, { y });
  best.dispose();
  return y;
}
