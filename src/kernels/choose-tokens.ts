import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { ABSENT, severalChoices } from "./choice-rows.js";
import { type ChoiceMethod, chooseAlike, parametersOf } from "./choose-token.js";
import { type Cut, cutOf } from "./sampling-cutoff.js";

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
    chooseAlike(tensors.logits, members[0]!.count, severalChoices(device, rows), cut, tensors);
  }
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
