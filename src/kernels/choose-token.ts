import type { Tensor } from "../runtime/tensor.js";
import { argmaxMergeKernel, bestOfSlices, KEEP } from "./argmax.js";
import { type Penalties, rankLogits, stripConstants } from "./rank-logits.js";
import { rankWithCutoff, type Truncation } from "./sampling-cutoff.js";

/** The decoding state of an answer, on the device. */
export interface ChoiceState {
  /** `[1]` u32: the last chosen token, which the embedding lookup of the next step reads. */
  readonly token: Tensor;
  /** u32: the tokens of the answer in order. */
  readonly answer: Tensor;
  /** `[count]` u32: occurrences of each token in the answer; only where there are penalties. */
  readonly counts?: Tensor | undefined;
}

/** Sampling parameters; without them decoding is greedy. */
export interface Sampling extends Truncation {
  readonly temperature: number;
  /** The RNG key of this step, two u32: equal keys and logits give the same token. */
  readonly rngKey: readonly [number, number];
}

export interface ChoiceRules {
  /** Tokens with ids below this may be chosen. */
  readonly count: number;
  /** Index in `answer` at which the token is written. */
  readonly at: number;
  readonly penalties: Penalties;
  /** `[count]` f32, added to the logits before the penalties. */
  readonly bias?: Tensor | undefined;
  /** `[ceil(count / 32)]` u32, a bit for each allowed token; all are allowed if not given. */
  readonly mask?: Tensor | undefined;
  readonly sampling?: Sampling | undefined;
}

/**
 * Chooses the next token from logits `[1, V]` f32: greedily (the argmax), or by Gumbel-max sampling with `rules.sampling`. Updates all
 * tensors of `state` in place. The token is 2³²−1 if none is allowed or every logit is NaN.
 */
export function chooseToken(logits: Tensor, state: ChoiceState, rules: ChoiceRules): void {
  const { device } = logits;
  const { token, answer, counts } = state;
  const { count, at, penalties, bias, mask, sampling } = rules;
  const [upperKey, lowerKey] = sampling?.rngKey ?? [0, 0];
  const parameters = { count, upperKey, lowerKey };
  let best: Tensor;
  if (sampling) {
    const tensors = { counts, bias, mask };
    const { ranks, cutoff, tops } = rankWithCutoff(logits, count, sampling.temperature, penalties, tensors, sampling);
    best = bestOfSlices(ranks, "sampled", { cutoff, tops }, parameters, stripConstants(device.facts));
  } else if (counts || bias || mask) {
    best = bestOfSlices(rankLogits(logits, count, 1, penalties, { counts, bias, mask }), "rank", {}, parameters);
  } else {
    best = bestOfSlices(logits, "element", {}, parameters);
  }
  device.run(
    argmaxMergeKernel.variant({}, counts ? KEEP.answerAndCount : KEEP.answer),
    { best, y: token, answer, ...(counts && { counts }) },
    { count, slices: best.size(0), at },
    [1],
  );
}
