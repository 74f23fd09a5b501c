import { AbortedError } from "../base/errors.js";

interface Waiting {
  readonly begin: () => void;
}

/** A FIFO queue with a bounded number of concurrent and of waiting requests. */
export class Queue {
  readonly #waiting: Waiting[] = [];
  #active = 0;

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

  /** Waits for a slot; returns a function that releases it. Throws AbortedError. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw new AbortedError("the queue", signal.reason);
    if (this.#active < this.parallel) this.#active++;
    else await this.#wait(signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      // Hand the slot over directly, so that it is never free in between.
      const next = this.#waiting.shift();
      if (next) next.begin();
      else this.#active--;
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(new AbortedError("the queue", signal.reason));
      };
      const waiting: Waiting = {
        begin: () => {
          signal.removeEventListener("abort", leave);
          resolve();
        },
      };
      this.#waiting.push(waiting);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
