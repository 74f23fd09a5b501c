export interface ReferenceRules {
  /** Ids below this may be chosen. */
  readonly count: number;
  readonly penalty: number;
  /** Tokens that the answer has. */
  readonly seen: readonly number[];
  /** Tokens that may not be chosen. */
  readonly banned: readonly number[];
}

/** The token with the largest logit, the lowest among equals; `count` if no logit is a number. All of it in float32. */
export function chooseToken(logits: ArrayLike<number>, { count, penalty, seen, banned }: ReferenceRules): number {
  const own = Float32Array.from(logits);
  const by = Math.fround(penalty);
  for (const token of new Set(seen)) own[token] = own[token]! > 0 ? own[token]! / by : own[token]! * by;
  for (const token of banned) own[token] = Number.NEGATIVE_INFINITY;
  let best = count;
  for (let i = 0; i < count; i++) {
    if (best === count ? !Number.isNaN(own[i]!) : own[i]! > own[best]!) best = i;
  }
  return best;
}
