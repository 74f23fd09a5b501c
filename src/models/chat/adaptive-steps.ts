/** Duration of the steps per readback that is always smooth: so many more are taken without a trial. */
const TARGET_MS = 40;
/** Most computation per readback: short enough for streaming and prompt aborts. More only where a readback itself takes longer. */
const MOST_COMPUTE_MS = 50;
/** Longest duration of several steps. Up to here slow steps are batched in pairs, since a readback has a cost of its own. */
const LONGEST_MS = 250;
/** Most steps per readback. */
export const MOST_STEPS = 16;

/** Batches that a number of steps is judged by. */
const WINDOW = 4;
/** Twice as many steps are kept if a step then takes at most this fraction of the time. */
const WORTH = 0.9;
/** Windows until a refused number is tried again. */
const PATIENCE = 16;

/** Duration of batches of a number of steps. */
interface Measured {
  readonly steps: number;
  readonly milliseconds: number;
}

/**
 * Adapts the number of decode steps per readback to their measured duration, which is `fixed + steps · each`. A browser that polls for
 * completions has a large fixed part, which no single number of steps shows; so twice and half as many steps are tried, and the larger
 * number is kept where a step notably gains and the computation stays short.
 */
export class AdaptiveSteps {
  /** Steps of the next batch: a power of two. */
  steps = 1;
  /** The number found so far, which an answer approaches from below. */
  #settled = 1;
  #lastEach = Number.POSITIVE_INFINITY;
  #lastWasLong = false;
  /** Durations of the latest batches of `steps` steps. */
  #window: number[] = [];
  /** The number before the one that is being tried. */
  #before: Measured | undefined;
  #patience = { more: 0, fewer: 0 };

  /** Call at the start of an answer: begins with few steps per readback, since answers may be short. */
  start(): void {
    this.steps = Math.min(this.steps, 2);
    this.#window = [];
  }

  /** Updates the number: a batch of `steps` arrived `milliseconds` after the one before, or after it was begun. */
  learn(steps: number, milliseconds: number): void {
    const each = milliseconds / steps;
    // The first step includes compilation, and of two batches that arrive together the second seems to take no time.
    const slowest = Math.max(each, this.#lastEach);
    this.#lastEach = each;
    const long = steps > 1 && milliseconds > LONGEST_MS;
    if (long) this.#shorten(each);
    else if (this.steps < this.#settled) this.steps = Math.min(2 * this.steps, this.#settled);
    else if (this.steps < MOST_STEPS && smooth(2 * this.steps, slowest)) this.#settle(2 * this.steps);
    else if (steps === this.steps) this.#judge(milliseconds);
    this.#lastWasLong = long;
  }

  /** Takes fewer steps at once. One long batch may be an outlier, so the number is forgotten only after a second. */
  #shorten(each: number): void {
    let fitting = 1;
    while (2 * fitting <= this.steps && smooth(2 * fitting, each)) fitting *= 2;
    if (this.#lastWasLong) this.#settle(fitting);
    else this.steps = fitting;
  }

  #settle(steps: number): void {
    this.steps = steps;
    this.#settled = steps;
    this.#window = [];
    this.#before = undefined;
  }

  /** Collects a window at a number of steps; then compares it with the number before, or begins to try another. */
  #judge(milliseconds: number): void {
    if (this.#window.push(milliseconds) < WINDOW) return;
    const now = { steps: this.steps, milliseconds: typical(this.#window) };
    this.#window = [];
    const before = this.#before;
    this.#before = undefined;
    const patience = this.#patience;
    if (before) {
      const [fewer, more] = before.steps < now.steps ? [before, now] : [now, before];
      const best = worth(fewer, more) ? more : fewer;
      if (best === more) patience.fewer = PATIENCE;
      else patience.more = PATIENCE;
      this.#settle(best.steps);
      return;
    }
    const tooLong = now.milliseconds > TARGET_MS && now.steps > 2;
    if (now.steps < MOST_STEPS && 2 * now.milliseconds <= LONGEST_MS && patience.more-- <= 0)
      this.#try(now, 2 * now.steps);
    else if (tooLong && patience.fewer-- <= 0) this.#try(now, now.steps / 2);
  }

  #try(before: Measured, steps: number): void {
    this.#settle(steps);
    this.#before = before;
  }
}

/** Whether steps of `each` milliseconds need no trial: they are short, or a pair of slow ones. */
function smooth(steps: number, each: number): boolean {
  return steps * each <= (steps > 2 ? TARGET_MS : LONGEST_MS);
}

/** The mean without the largest value, which may be an outlier. */
function typical(milliseconds: readonly number[]): number {
  const sum = milliseconds.reduce((a, b) => a + b, 0);
  return (sum - Math.max(...milliseconds)) / (milliseconds.length - 1);
}

/** Whether more steps per readback are notably faster, and what they compute is short or no longer than the readback itself. */
function worth(fewer: Measured, more: Measured): boolean {
  const each = Math.max(0, more.milliseconds - fewer.milliseconds) / (more.steps - fewer.steps);
  const fixed = fewer.milliseconds - fewer.steps * each;
  const gains = more.milliseconds / more.steps <= (WORTH * fewer.milliseconds) / fewer.steps;
  return gains && more.steps * each <= Math.max(MOST_COMPUTE_MS, fixed);
}
