import { DisposedError } from "../base/errors.js";
import type { ConvertedFile } from "../models/converted-file.js";
import type { TrainingStep } from "../models/training-step.js";
import type { Pulled, SentStep } from "./messages.js";

/** A run of `model.train` in the worker, from which the page pulls steps and files, one at a time. */
export class ServedTraining {
  /** Resolves when the run has ended. */
  readonly over: Promise<void>;
  #end = (): void => {};
  #step: TrainingStep | undefined;
  #files: AsyncIterator<ConvertedFile> | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;

  constructor(private readonly steps: AsyncGenerator<TrainingStep, void, undefined>) {
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** What the page asked for; undefined after the last one. */
  async pull(what: Pulled): Promise<unknown> {
    switch (what) {
      case "step":
        return this.#next();
      case "files":
      case "state":
        this.#files = this.step[what]()[Symbol.asyncIterator]();
        return undefined;
      case "file": {
        const file = await nextOf(this.#files);
        this.#chunks = file?.chunks[Symbol.asyncIterator]();
        return file && { name: file.name, sizeBytes: file.sizeBytes };
      }
      case "chunk":
        return nextOf(this.#chunks);
    }
  }

  /** The newest step. Throws DisposedError before the first. */
  get step(): TrainingStep {
    if (this.#step) return this.#step;
    throw new DisposedError({ where: "training", expected: "a step", got: "none", remedy: "request a step first" });
  }

  async #next(): Promise<SentStep | undefined> {
    try {
      this.#step = await nextOf(this.steps);
    } catch (error) {
      this.#end();
      throw error;
    }
    if (!this.#step) {
      this.#end();
      return undefined;
    }
    const { files: _, state: __, evaluate: ___, ...sent } = this.#step;
    return sent;
  }

  /** Ends the run after the step that is being made. */
  async finish(): Promise<void> {
    await this.steps.return().catch(() => {});
    this.#end();
  }
}

async function nextOf<Value>(iterator: AsyncIterator<Value, unknown> | undefined): Promise<Value | undefined> {
  const result = await iterator?.next();
  return result && !result.done ? result.value : undefined;
}
