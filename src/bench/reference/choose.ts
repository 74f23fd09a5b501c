export interface ReferenceRules {
  /** Tokens with ids below this may be chosen. */
  readonly count: number;
  readonly penalties?: { readonly repetition: number; readonly presence: number; readonly frequency: number };
  /** Tokens of the answer so far, with repetitions, in any order. */
  readonly seen?: readonly number[];
  /** Added to the logits of tokens, before the penalties. */
  readonly bias?: ReadonlyMap<number, number>;
  /** Excluded tokens. */
  readonly banned?: readonly number[];
}

export interface ReferenceSampling {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Applies bias, penalties and exclusions to logits, in float32; NaN for excluded tokens. */
function ruled(logits: ArrayLike<number>, { penalties, seen = [], bias, banned = [] }: ReferenceRules): Float32Array {
  const own = Float32Array.from(logits);
  for (const [token, add] of bias ?? []) own[token]! += Math.fround(add);
  if (penalties) {
    const times = new Map<number, number>();
    for (const token of seen) times.set(token, (times.get(token) ?? 0) + 1);
    const [by, presence, frequency] = [penalties.repetition, penalties.presence, penalties.frequency].map(Math.fround);
    for (const [token, count] of times) {
      const e = Math.fround(own[token]! > 0 ? own[token]! / by! : own[token]! * by!);
      own[token] = e - presence! - frequency! * count;
    }
  }
  for (const token of banned) own[token] = Number.NaN;
  return own;
}

/** Greedy decoding in float32: the argmax, lowest index among equals; `count` if all logits are NaN. */
export function chooseToken(logits: ArrayLike<number>, rules: ReferenceRules): number {
  const { count } = rules;
  const own = ruled(logits, rules);
  let best = count;
  for (let i = 0; i < count; i++) {
    if (best === count ? !Number.isNaN(own[i]!) : own[i]! > own[best]!) best = i;
  }
  return best;
}

/**
 * Sampling probabilities in float64: softmax of the logits over the temperature, truncated by top-k, then top-p, then min-p, and
 * renormalised. Ties are kept together.
 */
export function samplingProbabilities(
  logits: ArrayLike<number>,
  rules: ReferenceRules,
  sampling: ReferenceSampling,
): Float64Array {
  const { temperature, topK, topP, minP } = sampling;
  const own = ruled(logits, rules);
  const order = Array.from({ length: rules.count }, (_, i) => i)
    .filter((i) => own[i]! > Number.NEGATIVE_INFINITY)
    .sort((a, b) => own[b]! - own[a]!);
  const highest = own[order[0]!]!;
  const weight = (i: number): number => Math.exp((own[i]! - highest) / temperature);
  let kept = order;
  const cut = (count: number): void => {
    while (count < kept.length && own[kept[count]!] === own[kept[count - 1]!]) count++;
    kept = kept.slice(0, count);
  };
  if (topK > 0) cut(Math.min(topK, kept.length));
  if (topP < 1) {
    const whole = kept.reduce((sum, i) => sum + weight(i), 0);
    let count = 0;
    for (let mass = 0; count < kept.length && mass < topP * whole; count++) mass += weight(kept[count]!);
    cut(count);
  }
  kept = kept.filter((i) => weight(i) >= minP);
  const whole = kept.reduce((sum, i) => sum + weight(i), 0);
  const probabilities = new Float64Array(rules.count);
  for (const i of kept) probabilities[i] = weight(i) / whole;
  return probabilities;
}

/** Gumbel noise of a token, in float64, from the same random bits as the kernel. */
export function gumbel(place: number, [upper, lower]: readonly [number, number]): number {
  const mixed = (n: number): number => {
    let m = Math.imul(n ^ (n >>> 16), 0x7feb352d);
    m = Math.imul(m ^ (m >>> 15), 0x846ca68b);
    return (m ^ (m >>> 16)) >>> 0;
  };
  const bits = mixed((mixed(place ^ upper) + lower) >>> 0);
  const v = Math.min((bits + 0.5) / 2 ** 32, 0.9999999);
  return -Math.log(-Math.log1p(-v));
}
