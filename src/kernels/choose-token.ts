import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { bestOfSlices, mergeSlices } from "./argmax.js";
import {
  ABSENT,
  type ChoiceParameters,
  type ChoiceRows,
  oneChoice,
  PLAIN_CHOICE,
  severalChoices,
} from "./choice-rows.js";
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

/** A row of a tensor `[rows, …]` that has those of several sequences. */
export interface RowPlace {
  readonly tensor: Tensor;
  /** Its first element. */
  readonly first: number;
}

/** The choice from one row of several. */
export interface RowChoice extends ChoiceMethod {
  /** V logits f32. */
  readonly logits: RowPlace;
  readonly token: RowPlace;
  readonly answer: RowPlace;
  readonly counts?: RowPlace | undefined;
  readonly bias?: RowPlace | undefined;
  readonly mask?: RowPlace | undefined;
}

/**
 * Chooses the next token from logits `[1, V]` f32: greedily (the argmax), or by Gumbel-max sampling with `rules.sampling`. Updates all
 * tensors of `state` in place. The token is 2³²−1 if none is allowed or every logit is NaN.
 */
export function chooseToken(logits: Tensor, state: ChoiceState, rules: ChoiceRules): void {
  const { count, sampling, bias, mask } = rules;
  const cut = sampling && cutOf(sampling, count, logits.device.facts);
  choose(logits, count, oneChoice(parametersOf(rules)), cut, { ...state, bias, mask });
}

/**
 * Chooses a token from each of several rows of logits, as `chooseToken` from one. Rows that are cut alike share their dispatches, whatever their
 * number, their parameters, and whether they have counts, bias or mask.
 */
export function chooseTokens(device: Device, choices: readonly RowChoice[]): void {
  for (const { cut, tensors, members } of alikeAmong(choices, device)) {
    const rows = members.map((choice) => ({
      ...parametersOf(choice),
      answerPlace: choice.answer.first + choice.at,
      tokenPlace: choice.token.first,
      firstLogit: choice.logits.first,
      firstCount: choice.counts?.first ?? ABSENT,
      firstBias: choice.bias?.first ?? ABSENT,
      firstMask: choice.mask?.first ?? ABSENT,
    }));
    choose(tensors.logits, members[0]!.count, severalChoices(device, rows), cut, tensors);
  }
}

/** Tensors that a choice reads and writes. */
interface ChoiceTensors extends ChoiceState, LogitRules {}

function choose(
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

function parametersOf({ at, penalties, sampling }: ChoiceMethod): ChoiceParameters {
  const parameters = { ...PLAIN_CHOICE, ...penalties, answerPlace: at };
  if (!sampling) return parameters;
  const { temperature, topK, topP, minP, rngKey } = sampling;
  const [upperKey, lowerKey] = rngKey;
  const logMinP = minP > 0 ? Math.log(minP) : PLAIN_CHOICE.logMinP;
  return { ...parameters, inverseTemperature: 1 / temperature, topK, topP, logMinP, upperKey, lowerKey };
}

/** Choices with the same kernels and the same tensors. */
interface Alike {
  readonly key: string;
  readonly cut: Cut | undefined;
  readonly members: RowChoice[];
  readonly tensors: Record<(typeof ALWAYS)[number], Tensor> & Partial<Record<(typeof OPTIONAL)[number], Tensor>>;
}

/** Tensors that every row needs, and those that it may do without. */
const ALWAYS = ["logits", "token", "answer"] as const;
const OPTIONAL = ["counts", "bias", "mask"] as const;

function alikeAmong(choices: readonly RowChoice[], device: Device): Alike[] {
  const all: Alike[] = [];
  for (const choice of choices) {
    const { count, sampling, logits, token, answer } = choice;
    const cut = sampling && cutOf(sampling, count, device.facts);
    const key = JSON.stringify([count, cut]);
    let alike = all.find(
      ({ key: other, tensors }) =>
        other === key &&
        ALWAYS.every((name) => tensors[name] === choice[name].tensor) &&
        OPTIONAL.every((name) => !tensors[name] || !choice[name] || tensors[name] === choice[name].tensor),
    );
    if (!alike) {
      const tensors = { logits: logits.tensor, token: token.tensor, answer: answer.tensor };
      alike = { key, cut, members: [], tensors };
      all.push(alike);
    }
    alike.members.push(choice);
    for (const name of OPTIONAL) {
      const place = choice[name];
      if (place) alike.tensors[name] = place.tensor;
    }
  }
  return all;
}
