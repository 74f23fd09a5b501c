import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** Ranks and places of the lanes become those of the best lane, in lane 0: the highest rank, the lowest place among equals. */
const BEST_LANE = `
var<workgroup> ranks: array<u32, LANES>;
var<workgroup> places: array<u32, LANES>;

fn keepBest(lane: u32, rank: u32, place: u32) {
  ranks[lane] = rank;
  places[lane] = place;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) {
      let other = lane + step;
      if (ranks[other] > ranks[lane] || (ranks[other] == ranks[lane] && places[other] < places[lane])) {
        ranks[lane] = ranks[other];
        places[lane] = places[other];
      }
    }
    workgroupBarrier();
  }
}`;

/** First stage: the best of each slice. Floats are compared by ranks, whole numbers: adapters may take it that there is no NaN. */
export const argmaxKernel = new Kernel(
  "argmax",
  `
struct Params { count: u32, penalty: f32, banned: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;           // [count or more]
@group(0) @binding(1) var<storage, read_write> best: array<vec2u>;  // [slices] rank and place
${BEST_LANE}

// In the order of the floats, 0 for what is not a number; both zeros are one.
fn rankOf(e: f32) -> u32 {
  let bits = bitcast<u32>(e);
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return 0u; }
  return select(0x80000000u + size, 0x80000000u - size, bits != size);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let end = min(params.count, (group.x + 1u) * SLICE);
  var rank = 0u;
  var place = 0xffffffffu;
  for (var i = group.x * SLICE + lane; i < end; i += LANES) {
    let own = rankAt(i);
    if (own > rank) { rank = own; place = i; }
  }
  keepBest(lane, rank, place);
  if (lane == 0u) { best[group.x] = vec2u(ranks[0], places[0]); }
}
`,
  { LANES: 128, SLICE: 2048 },
);

/** Barriers are what costs on the CPU: fewer lanes and longer slices there, 0.4 ms instead of 1.0 ms for 151,936 logits on two cores. */
const ON_CPU = { LANES: 32, SLICE: 8192 };

/** Runs the first stage; `best` is `[slices, 2]`. */
function slicesOf(
  x: Tensor,
  tensors: { marks?: Tensor },
  rules: { count: number; penalty: number; banned: number },
): Tensor {
  const { device } = x;
  const kernel = argmaxKernel.variant(
    device.facts.onCPU ? ON_CPU : {},
    tensors.marks ? RANK_AT.logit : RANK_AT.element,
  );
  const slices = Math.ceil(rules.count / kernel.constants.SLICE);
  const best = device.empty([slices, 2], "u32", "best");
  device.run(kernel, { x, best, ...tensors }, rules, [slices]);
  return best;
}

/** What the first stage compares: the elements, or logits under the rules of an answer. */
export const RANK_AT = {
  element: "fn rankAt(i: u32) -> u32 { return rankOf(x[i]); }",
  logit: `
@group(0) @binding(2) var<storage, read> marks: array<u32>;  // [ceil(count / 16)] two bits a token: in the answer, ends it
const LOWEST = 0x007fffffu;  // the rank of minus infinity

fn rankAt(i: u32) -> u32 {
  let mark = (marks[i / 16u] >> (i % 16u * 2u)) & 3u;
  if (mark > 1u && params.banned == 1u) { return LOWEST; }
  var e = x[i];
  if ((mark & 1u) == 1u) {
    if (e > 0.0) { e = divided(e, params.penalty); } else { e *= params.penalty; }
  }
  return rankOf(e);
}

// a / b to the nearest float: WGSL allows a division to be off by 2.5 units in the last place. Both above 0.
fn divided(a: f32, b: f32) -> f32 {
  let rough = a / b;
  let by = (bitcast<u32>(b) & 0x7fffffu) | 0x800000u;
  var rest = (bitcast<u32>(a) & 0x7fffffu) | 0x800000u;
  var exponent = i32(bitcast<u32>(a) >> 23u) - i32(bitcast<u32>(b) >> 23u) + 127;
  if (rest < by) { rest *= 2u; exponent -= 1; }
  // Beyond the normal numbers the last place is another one.
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

/** Second stage: the best of the slices' best. */
export const argmaxMergeKernel = new Kernel(
  "argmaxMerge",
  `
struct Params { count: u32, slices: u32, at: u32 }
@group(0) @binding(0) var<storage, read> best: array<vec2u>;   // [slices] rank and place
@group(0) @binding(1) var<storage, read_write> y: array<u32>;  // [1]
${BEST_LANE}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var rank = 0u;
  var place = 0xffffffffu;
  for (var i = lane; i < params.slices; i += LANES) {
    if (best[i].x > rank) { rank = best[i].x; place = best[i].y; }
  }
  keepBest(lane, rank, place);
  if (lane == 0u) {
    y[0] = places[0];
    keep(places[0]);
  }
}
`,
  { LANES: 64 },
);

/** What the second stage does with the place beside telling it. */
export const KEEP = {
  nothing: "fn keep(place: u32) {}",
  answer: `
@group(0) @binding(2) var<storage, read_write> answer: array<u32>;  // [more than at]
fn keep(place: u32) { answer[params.at] = place; }`,
  answerAndMark: `
@group(0) @binding(2) var<storage, read_write> answer: array<u32>;  // [more than at]
@group(0) @binding(3) var<storage, read_write> marks: array<u32>;   // [ceil(count / 16)]
fn keep(place: u32) {
  answer[params.at] = place;
  if (place < params.count) { marks[place / 16u] |= 1u << (place % 16u * 2u); }
}`,
};

/** Index of the largest of the first `count` elements, the lowest among equals: x `[…]` f32, result `[1]` u32 (2³²−1 if none is a number). */
export function argmax(x: Tensor, count: number): Tensor {
  const { device } = x;
  const y = device.empty([1], "u32", "argmax");
  const best = slicesOf(x, {}, { count, penalty: 1, banned: 0 });
  device.run(argmaxMergeKernel.variant({}, KEEP.nothing), { best, y }, { count, slices: best.size(0), at: 0 }, [1]);
  return y;
}

/** The rules of an answer, and what is known of it on the device. */
export interface ChoiceState {
  /** `[1]` u32: the token chosen last, as the embedding of the next step reads it. */
  readonly token: Tensor;
  /** u32: tokens in the order of their choice. */
  readonly answer: Tensor;
  /** `[ceil(count / 16)]` u32, two bits a token: 1 if it is in the answer, 2 if it ends one. */
  readonly marks: Tensor;
}

export interface ChoiceRules {
  /** Ids below this may be chosen. */
  readonly count: number;
  /** Divides the logits of tokens that the answer has, multiplies negative ones; as f32. 1 leaves them. */
  readonly penalty: number;
  /** Whether end tokens may not be chosen. */
  readonly banned: boolean;
  /** Place in `answer` that the token is written to. */
  readonly at: number;
}

/** Chooses the token with the largest logit: logits `[1, V]` f32. In place: everything of `state`. */
export function chooseToken(logits: Tensor, state: ChoiceState, rules: ChoiceRules): void {
  const { token, answer, marks } = state;
  const { count, penalty, at } = rules;
  const ruled = penalty !== 1 || rules.banned;
  const best = slicesOf(logits, ruled ? { marks } : {}, { count, penalty, banned: rules.banned ? 1 : 0 });
  const marking = penalty !== 1;
  logits.device.run(
    argmaxMergeKernel.variant({}, marking ? KEEP.answerAndMark : KEEP.answer),
    { best, y: token, answer, ...(marking && { marks }) },
    { count, slices: best.size(0), at },
    [1],
  );
}
