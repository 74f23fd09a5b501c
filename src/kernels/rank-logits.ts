import type { AdapterFacts } from "../runtime/adapter.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { FIRST_OF, RANK_OF } from "./argmax.js";
import { ABSENT, type ChoiceRows, rowHeader, runRows } from "./choice-rows.js";

/** Applies bias, penalties, temperature and mask to the logits and returns ranks; excluded tokens have rank 0, which no number has. */
export const rankLogitsKernel = new Kernel(
  "rankLogits",
  `
@group(0) @binding(0) var<storage, read> x: array<f32>;            // [rows, count or more]
@group(0) @binding(1) var<storage, read_write> ranks: array<u32>;  // [rows, count]
${RANK_OF}
${FIRST_OF}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y;
  let start = firstLogitOf(row);
  let ranksStart = rowStart(row, params.count);
  for (var part = 0u; part < PARTS; part++) {
    let strip = (group.x * PARTS + part) * LANES + lane;
    let first = firstOf(strip);
    var top = LOWEST - 1u;
    var mass = 0.0;
    for (var step = 0u; step < STRIP; step++) {
      let i = first + step * LANES;
      if (i >= params.count) { break; }
      let rank = select(0u, rankOf(penalised(row, i, biased(row, i, x[start + i])) * inverseTemperatureOf(row)), allowed(row, i));
      ranks[ranksStart + i] = rank;
      if (WEIGHS && rank >= LOWEST) { mass = massWith(mass, top, rank); }
      top = max(top, rank);
    }
    summarise(rowStart(row, params.strips) + strip, top, mass);
  }
}
`,
  { LANES: 64, PARTS: 1, STRIP: 32 },
);

/** Barriers dominate on CPU adapters. */
const ON_CPU = { LANES: 32, PARTS: 8 };

/** The constants of the kernels that read strips of an adapter. */
export function stripConstants({ onCPU }: AdapterFacts): { LANES: number; PARTS: number; STRIP: number } {
  return { ...rankLogitsKernel.constants, ...(onCPU && ON_CPU) };
}

/** WGSL of the repetition, presence and frequency penalties. */
export const PENALISED = {
  no: "fn penalised(row: u32, i: u32, e: f32) -> f32 { return e; }",
  yes: `
@group(0) @binding(2) var<storage, read> counts: array<u32>;  // [count] occurrences of each token in the answer

fn penalised(row: u32, i: u32, e: f32) -> f32 {
  let first = firstCountOf(row);
  if (first == ${ABSENT}u) { return e; }
  let n = counts[first + i];
  if (n == 0u) { return e; }
  var d = e * repetitionOf(row);
  if (e > 0.0) { d = divided(e, repetitionOf(row)); }
  return d - presenceOf(row) - frequencyOf(row) * f32(n);
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
  no: "fn biased(row: u32, i: u32, e: f32) -> f32 { return e; }",
  yes: `
@group(0) @binding(4) var<storage, read> bias: array<f32>;  // [count]
fn biased(row: u32, i: u32, e: f32) -> f32 {
  let first = firstBiasOf(row);
  if (first == ${ABSENT}u) { return e; }
  return e + bias[first + i];
}`,
};

/** WGSL of the token mask. */
export const ALLOWED = {
  all: "fn allowed(row: u32, i: u32) -> bool { return true; }",
  masked: `
@group(0) @binding(3) var<storage, read> mask: array<u32>;  // [ceil(count / 32)] one bit per token
fn allowed(row: u32, i: u32) -> bool {
  let first = firstMaskOf(row);
  if (first == ${ABSENT}u) { return true; }
  return ((mask[first + i / 32u] >> (i % 32u)) & 1u) == 1u;
}`,
};

/** WGSL that stores, for the search for a sampling cutoff, each strip's highest rank, and the probability mass over that of this rank. */
export const SUMMARISED = {
  no: `
const WEIGHS = false;
fn massWith(mass: f32, top: u32, rank: u32) -> f32 { return mass; }
fn summarise(strip: u32, top: u32, mass: f32) {}`,
  tops: `
const WEIGHS = false;
@group(0) @binding(5) var<storage, read_write> tops: array<u32>;  // [rows, strips]
fn massWith(mass: f32, top: u32, rank: u32) -> f32 { return mass; }
fn summarise(strip: u32, top: u32, mass: f32) { tops[strip] = top; }`,
  topsAndMasses: `
const WEIGHS = true;
@group(0) @binding(5) var<storage, read_write> tops: array<u32>;    // [rows, strips]
@group(0) @binding(6) var<storage, read_write> masses: array<f32>;  // [rows, strips]

// Online softmax (arXiv 1805.02867): when the highest rank rises, the mass so far is scaled.
fn massWith(mass: f32, top: u32, rank: u32) -> f32 {
  let rise = floatOf(rank) - floatOf(max(top, LOWEST));
  let weight = exp(-abs(rise));
  return select(mass + weight, mass * weight + 1.0, rise > 0.0);
}

fn summarise(strip: u32, top: u32, mass: f32) {
  tops[strip] = top;
  masses[strip] = mass;
}`,
};

/** What {@link SUMMARISED} stores per strip. */
export interface StripTensors {
  /** `[rows, strips]` u32; that of minus infinity in a strip without a number above it. */
  readonly tops: Tensor;
  /** `[rows, strips]` f32, for top-p. */
  readonly masses?: Tensor | undefined;
}

/** Returns the number of strips for `count` logits, and of workgroups that read them. */
export function stripsOf(count: number, facts: AdapterFacts): { strips: number; workgroups: number } {
  const { LANES, PARTS, STRIP } = stripConstants(facts);
  const workgroups = Math.ceil(count / (LANES * PARTS * STRIP));
  return { strips: workgroups * LANES * PARTS, workgroups };
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

/** Tensors that change the logits of a row; rows of several have theirs at places of the parameters. */
export interface LogitRules {
  /** `[count]` u32: occurrences of each token in the answer. */
  readonly counts?: Tensor | undefined;
  /** `[ceil(count / 32)]` u32: a bit for each allowed token. */
  readonly mask?: Tensor | undefined;
  /** `[count]` f32: added to the logits before the penalties. */
  readonly bias?: Tensor | undefined;
}

const FIELDS = ["inverseTemperature", "firstLogit"] as const;
const PENALTIES = ["repetition", "presence", "frequency", "firstCount"] as const;
/** By which of counts, bias and mask there are. */
const HEADERS = Array.from({ length: 8 }, (_, bits) =>
  rowHeader(
    ["count", "strips"],
    [
      ...FIELDS,
      ...(bits & 1 ? PENALTIES : []),
      ...(bits & 2 ? (["firstBias"] as const) : []),
      ...(bits & 4 ? (["firstMask"] as const) : []),
    ],
  ),
);

/**
 * Returns order-preserving ranks `[rows, count]` u32 of logits `[…, V]` f32 over the temperature, 0 for excluded tokens. `summary`: filled
 * for `rankWithCutoff`.
 */
export function rankLogits(
  logits: Tensor,
  count: number,
  rows: ChoiceRows,
  { counts, mask, bias }: LogitRules,
  summary?: StripTensors,
): Tensor {
  const { device } = logits;
  const ranks = device.empty([rows.count, count], "u32", "ranks");
  const strips = stripConstants(device.facts);
  const { PARTS, STRIP } = strips;
  const kernel = rankLogitsKernel.variant(
    // A lane's logits are one strip where nothing is stored of each.
    summary ? strips : { ...strips, PARTS: 1, STRIP: PARTS * STRIP },
    bias ? BIASED.yes : BIASED.no,
    counts ? PENALISED.yes : PENALISED.no,
    mask ? ALLOWED.masked : ALLOWED.all,
    !summary ? SUMMARISED.no : summary.masses ? SUMMARISED.topsAndMasses : SUMMARISED.tops,
  );
  const header = HEADERS[(counts ? 1 : 0) + (bias ? 2 : 0) + (mask ? 4 : 0)]!;
  const read = { x: logits, ranks, ...(counts && { counts }), ...(mask && { mask }), ...(bias && { bias }) };
  const written = summary && { tops: summary.tops, ...(summary.masses && { masses: summary.masses }) };
  const { strips: stripCount, workgroups } = stripsOf(count, device.facts);
  runRows(device, kernel, header, rows, { ...read, ...written }, { count, strips: stripCount }, workgroups);
  return ranks;
}
