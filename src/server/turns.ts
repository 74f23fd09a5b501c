/** Milliseconds of work in one turn of the event loop. */
const TURN_MS = 4;

/**
 * Work that comes in bursts, such as hundreds of requests at once: it is done in the order in which it came, a few milliseconds of it in each
 * turn of the event loop, so that what comes meanwhile is noticed.
 */
export class Turns {
  #waiting: (() => void)[] = [];
  #begun = false;

  /** Runs `work` in a turn of its queue. It must not throw. */
  add(work: () => void): void {
    this.#waiting.push(work);
    if (this.#begun) return;
    this.#begun = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const until = performance.now() + TURN_MS;
    let done = 0;
    while (done < this.#waiting.length && (done === 0 || performance.now() < until)) this.#waiting[done++]!();
    this.#waiting = this.#waiting.slice(done);
    this.#begun = this.#waiting.length > 0;
    if (this.#begun) setImmediate(this.#turn);
  };
}
