import type { Tensor } from "../runtime/tensor.js";
import { bestOfSlices, mergeSlices } from "./argmax.js";
import { type ChoiceParameters, type ChoiceRows, oneChoice, PLAIN_CHOICE } from "./choice-rows.js";
import { type LogitRules, type Penalties, rankLogits, stripConstants } from "./rank-logits.js";
import { type Cut, cutOf, rankWithCutoff, type Truncation } from "./sampling-cutoff.js";

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

/** How a token is chosen, apart from the tensors. */
export interface ChoiceMethod {
  /** Tokens with ids below this may be chosen. */
  readonly count: number;
  /** Index in `answer` at which the token is written. */
  readonly at: number;
  readonly penalties: Penalties;
  readonly sampling?: Sampling | undefined;
}

export interface ChoiceRules extends ChoiceMethod {
  /** `[count]` f32, added to the logits before the penalties. */
  readonly bias?: Tensor | undefined;
  /** `[ceil(count / 32)]` u32, a bit for each allowed token; all are allowed if not given. */
  readonly mask?: Tensor | undefined;
}

/**
 * Chooses the next token from logits `[1, V]` f32: greedily (the argmax), or by Gumbel-max sampling with `rules.sampling`. Updates all
 * tensors of `state` in place. The token is 2³²−1 if none is allowed or every logit is NaN.
 */
export function chooseToken(logits: Tensor, state: ChoiceState, rules: ChoiceRules): void {
  const { count, sampling, bias, mask } = rules;
  const cut = sampling && cutOf(sampling, count, logits.device.facts);
  chooseAlike(logits, count, oneChoice(parametersOf(rules)), cut, { ...state, bias, mask });
}

/** Tensors that a choice reads and writes. */
interface ChoiceTensors extends ChoiceState, LogitRules {}

/** Chooses a token from each of `rows`, which are cut alike. */
export function chooseAlike(
  logits: Tensor,
  count: number,
  rows: ChoiceRows,
  cut: Cut | undefined,
  { token, answer, counts, bias, mask }: ChoiceTensors,
): void {
  const rules = { counts, bias, mask };
  let best: Tensor;
  if (cut) {
    const { ranks, cutoff, tops } = rankWithCutoff(logits, count, rows, rules, cut);
    best = bestOfSlices(ranks, "sampled", count, rows, { cutoff, tops }, stripConstants(logits.device.facts));
  } else if (counts || bias || mask) {
    best = bestOfSlices(rankLogits(logits, count, rows, rules), "rank", count, rows);
  } else {
    best = bestOfSlices(logits, "element", count, rows);
  }
  const keep = counts ? "answerAndCount" : "answer";
  mergeSlices(best, keep, count, rows, { y: token, answer, ...(counts && { counts }) });
}

export function parametersOf({ at, penalties, sampling }: ChoiceMethod): ChoiceParameters {
  const parameters = { ...PLAIN_CHOICE, ...penalties, answerPlace: at };
  if (!sampling) return parameters;
  const { temperature, topK, topP, minP, rngKey } = sampling;
  const [upperKey, lowerKey] = rngKey;
  const logMinP = minP > 0 ? Math.log(minP) : PLAIN_CHOICE.logMinP;
  return { ...parameters, inverseTemperature: 1 / temperature, topK, topP, logMinP, upperKey, lowerKey };
}
