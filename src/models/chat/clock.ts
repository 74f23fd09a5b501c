import type { AnswerTimings } from "./answer.js";

/** Measures the seconds of each stage. */
export class Clock {
  readonly #started = performance.now();
  #last = this.#started;
  readonly #laps = { preprocess: 0, vision: 0, prefill: 0, decode: 0 };

  /** Attributes the time since the last lap to a stage. */
  lap(stage: Exclude<keyof AnswerTimings, "total">): void {
    const now = performance.now();
    this.#laps[stage] += (now - this.#last) / 1000;
    this.#last = now;
  }

  timings(): AnswerTimings {
    return { ...this.#laps, total: (this.#last - this.#started) / 1000 };
  }
}
