/** Steps whose mean duration counts. */
const RECENT = 20;

/** Estimates how long the steps that are left take, from the durations of recent ones. */
export class TimeLeft {
  readonly #seconds: number[] = [];
  #isWarm = false;

  /** Adds the duration of a step. Returns the time of `steps` more in seconds; undefined after the first step, which compiles. */
  after(seconds: number, steps: number): number | undefined {
    if (!this.#isWarm) {
      this.#isWarm = true;
      return undefined;
    }
    this.#seconds.push(seconds);
    if (this.#seconds.length > RECENT) this.#seconds.shift();
    return (steps * this.#seconds.reduce((sum, one) => sum + one, 0)) / this.#seconds.length;
  }
}
