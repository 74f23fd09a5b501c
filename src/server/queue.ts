import { AbortedError } from "../base/errors.js";
import { PRIORITIES, type Priority } from "./priority.js";

interface Waiting {
  readonly alone: boolean;
  /** The least begins first. */
  readonly rank: number;
  readonly begin: () => void;
}

/**
 * A queue with a bounded number of concurrent and of waiting requests: by priority, FIFO within one. While it is paused nothing begins.
 * A request that runs again comes first and runs alone: if the model's process ends a second time, it is known which request did that.
 */
export class Queue {
  readonly #waiting: Waiting[] = [];
  #active = 0;
  #paused = false;
  /** Whether the running request runs alone. */
  #alone = false;

  constructor(
    readonly parallel: number,
    readonly most: number,
  ) {}

  get active(): number {
    return this.#active;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Slots and waiting places that are free. */
  get places(): number {
    return this.parallel + this.most - this.#active - this.#waiting.length;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#next();
  }

  /** Waits for a slot; returns a function that releases it. Throws AbortedError. */
  async enter(signal: AbortSignal, again = false, priority: Priority = "normal"): Promise<() => void> {
    if (signal.aborted) throw new AbortedError("the queue", signal.reason);
    await this.#wait(signal, again, again ? -1 : PRIORITIES.indexOf(priority));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#active--;
      if (again) this.#alone = false;
      this.#next();
    };
  }

  #wait(signal: AbortSignal, alone: boolean, rank: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(new AbortedError("the queue", signal.reason));
        // The one that left may have waited to run alone.
        this.#next();
      };
      const waiting: Waiting = {
        alone,
        rank,
        begin: () => {
          signal.removeEventListener("abort", leave);
          resolve();
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      const before = this.#waiting.findIndex((other) => other.rank > rank);
      this.#waiting.splice(before < 0 ? this.#waiting.length : before, 0, waiting);
      this.#next();
    });
  }

  /** Begins what may begin; the slots are taken at once. */
  #next(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (!first || this.#paused || this.#alone) return;
      if (this.#active >= (first.alone ? 1 : this.parallel)) return;
      this.#waiting.shift();
      this.#active++;
      this.#alone = first.alone;
      first.begin();
    }
  }
}
