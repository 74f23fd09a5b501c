import type { Tensor } from "../runtime/tensor.js";
import { argmaxMergeKernel, bestOfSlices, KEEP } from "./argmax.js";
import { type Penalties, rankLogits } from "./rank-logits.js";
import { samplingCutoff, type Truncation } from "./sampling-cutoff.js";

/** What is known of an answer on the device. */
export interface ChoiceState {
  /** `[1]` u32: the token chosen last, as the embedding of the next step reads it. */
  readonly token: Tensor;
  /** u32: tokens in the order of their choice. */
  readonly answer: Tensor;
  /** `[count]` u32: how often the answer has each token; only where there are penalties. */
  readonly counts?: Tensor | undefined;
}

/** A sampling instead of the most probable token. */
export interface Sampling extends Truncation {
  readonly temperature: number;
  /** Two whole numbers below 2³²; the same ones give the same sampling. */
  readonly rngKey: readonly [number, number];
}

export interface ChoiceRules {
  /** Ids below this may be chosen. */
  readonly count: number;
  /** Place in `answer` that the token is written to. */
  readonly at: number;
  readonly penalties: Penalties;
  /** `[ceil(count / 32)]` u32, a bit for each token that may come; all if there is none. */
  readonly mask?: Tensor | undefined;
  readonly sampling?: Sampling | undefined;
}

/**
 * Chooses the token with the largest logit, or draws one: logits `[1, V]` f32. In place: everything of `state`. The token is
 * 2³²−1 where none may come.
 */
export function chooseToken(logits: Tensor, state: ChoiceState, rules: ChoiceRules): void {
  const { device } = logits;
  const { token, answer, counts } = state;
  const { count, at, penalties, mask, sampling } = rules;
  const [upperKey, lowerKey] = sampling?.rngKey ?? [0, 0];
  const parameters = { count, upperKey, lowerKey };
  let best: Tensor;
  if (counts || mask || sampling) {
    const ranks = rankLogits(logits, count, sampling?.temperature ?? 1, penalties, { counts, mask });
    best = sampling
      ? bestOfSlices(ranks, "sampled", { cutoff: samplingCutoff(ranks, sampling) }, parameters)
      : bestOfSlices(ranks, "rank", {}, parameters);
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
