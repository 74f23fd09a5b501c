import type { TrainingRecord } from "../training/samples.js";
import type { StepResult } from "../training/step-result.js";
import type { ConvertedFile } from "./converted-file.js";

/** How a model does on records that it is not trained on. */
export interface Evaluation {
  /** Mean cross-entropy of the supervised tokens. */
  readonly loss: number;
  /** Share of the records whose greedy answer is the right one, white space around it aside. */
  readonly exactMatch: number;
  /** The greedy answers, and the right ones. */
  readonly answers: readonly { readonly answer: string; readonly expected: string }[];
}

/** A step of training that has been made. */
export interface TrainingStep extends StepResult {
  /** From 1. */
  readonly step: number;
  /** Number of steps of the run. */
  readonly steps: number;
  /** Name of the adapter that is trained, which sessions select; undefined if none is. */
  readonly adapter?: string | undefined;
  /** Learning rate of the step as a factor of the given ones. */
  readonly rateFactor: number;
  /** Time of the step in seconds. */
  readonly seconds: number;
  /** Estimated time of the steps that are left in seconds; undefined after the first step, which compiles. */
  readonly secondsLeft: number | undefined;
  /**
   * Files with the weights as they are now: an adapter in PEFT's format if one is trained, otherwise a checkpoint. Read each file's chunks
   * before the next file, and before the next step.
   */
  files(): AsyncIterable<ConvertedFile>;
  /** Files from which `resume` goes on: weights, moments and the number of steps. */
  state(): AsyncIterable<ConvertedFile>;
  /** Loss and greedy answers on records that are held out, with the weights as they are now. */
  evaluate(records: readonly TrainingRecord[]): Promise<Evaluation>;
}
