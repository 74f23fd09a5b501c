/** Estimated work of a dispatch or a copy. */
export interface Work {
  /** Floating-point operations, 2 per multiply-add; 0 if not given. */
  readonly flops?: number;
  /** Bytes read and written, each once. */
  readonly bytes: number;
}

/** What an adapter computes and moves in a millisecond. */
export interface Rates {
  readonly flops: number;
  readonly bytes: number;
}

/**
 * Maximum duration of a submission in milliseconds, as estimated. Operating systems reset a GPU that does not respond (Windows after
 * 2 s), and nothing else is drawn while a submission executes.
 */
export const SUBMISSION_MS = 100;

/** Rates until others are learnt, those of a slow integrated GPU: 100 GFLOP/s and 10 GB/s. */
export const FIRST_RATES: Rates = { flops: 1e8, bytes: 1e7 };
/** Software adapters have no watchdog. */
const UNLIMITED: Rates = { flops: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

/** One measurement changes the rates by at most this factor. */
const MOST_CHANGE = 4;
/** Rates do not fall below this fraction of the first ones. */
const LEAST_RATE = 1 / 16;
/** Added to measured times, because clocks of browsers are that coarse; it keeps the rates at four fifths of the true ones. */
const CLOCK_MS = 20;
/** Shorter submissions say nothing by their duration: other programs use the adapter too. */
const SHORT_MS = 10;
/** Duration from which a submission is taken to be slower than estimated: two periods of a browser that polls every 100 ms, and more. */
const OVERDUE_MS = 250;

interface Totals {
  flops: number;
  bytes: number;
  ms: number;
  submissions: number;
}

/**
 * Estimates the duration of recorded work, so that no submission takes longer than {@link SUBMISSION_MS}: the larger of arithmetic and
 * memory traffic, at rates that are learnt from the first submissions.
 *
 * A rate is learnt over a busy period, from a submission to an idle adapter to the latest completion that was reported: all that was
 * submitted in between has been done, so work / time is a lower bound of the rate, however late completions are reported. Where a
 * single submission takes far longer than estimated, the rates fall.
 */
export class WorkBudget {
  rates: Rates;
  #recordedMs = 0;
  #recorded = { flops: 0, bytes: 0 };
  /** All that was submitted so far, and what had been at the beginning of the busy period. */
  readonly #submitted: Totals = { flops: 0, bytes: 0, ms: 0, submissions: 0 };
  #before: Totals = { ...this.#submitted };
  #busySince = 0;
  #waiting = false;

  constructor(
    onCPU: boolean,
    /** Resolves when everything submitted so far has completed. */
    private readonly completed: () => Promise<unknown>,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.rates = onCPU ? UNLIMITED : FIRST_RATES;
  }

  /** Estimated duration in milliseconds; 0 on software adapters. */
  milliseconds({ flops = 0, bytes }: Work): number {
    return Math.max(flops / this.rates.flops, bytes / this.rates.bytes);
  }

  /** Returns how many of `units` equal parts of `work` fit in a submission, at least 1. */
  fitting(work: Work, units: number): number {
    const milliseconds = this.milliseconds(work);
    return milliseconds <= SUBMISSION_MS ? units : Math.max(1, Math.floor((units * SUBMISSION_MS) / milliseconds));
  }

  /** Whether `work` fits in the current submission; anything fits in an empty one. */
  fits(work: Work): boolean {
    return this.#recordedMs === 0 || this.#recordedMs + this.milliseconds(work) <= SUBMISSION_MS;
  }

  /** Counts recorded work. */
  add(work: Work): void {
    this.#recordedMs += this.milliseconds(work);
    this.#recorded.flops += work.flops ?? 0;
    this.#recorded.bytes += work.bytes;
  }

  /** Call after each submission. */
  submit(): void {
    const { flops, bytes } = this.#recorded;
    const ms = this.#recordedMs;
    this.#recorded = { flops: 0, bytes: 0 };
    this.#recordedMs = 0;
    if (ms === 0) return;
    if (!this.#waiting) {
      this.#before = { ...this.#submitted };
      this.#busySince = this.now();
    }
    const total = this.#submitted;
    total.flops += flops;
    total.bytes += bytes;
    total.ms += ms;
    total.submissions++;
    if (!this.#waiting) void this.#wait();
  }

  /** Learns from the completion of what was submitted so far, then from that of what was submitted meanwhile, until all is done. */
  async #wait(): Promise<void> {
    this.#waiting = true;
    try {
      for (let seen = 0; seen < this.#submitted.submissions; ) {
        const until = { ...this.#submitted };
        seen = until.submissions;
        await this.completed();
        this.#learn(until);
      }
    } catch {
      // A lost device; the loss itself is reported by the device.
    }
    this.#waiting = false;
  }

  /** Everything of the busy period until `until` is done now. */
  #learn(until: Totals): void {
    const before = this.#before;
    const took = this.now() - this.#busySince;
    const estimated = until.ms - before.ms;
    const single = until.submissions - before.submissions === 1;
    if (single && took > OVERDUE_MS && estimated > SHORT_MS) this.#slower(estimated / took);
    else this.#faster({ flops: until.flops - before.flops, bytes: until.bytes - before.bytes }, took + CLOCK_MS);
  }

  #faster(done: Rates, milliseconds: number): void {
    const grown = (rate: number, amount: number): number =>
      Math.max(rate, Math.min(amount / milliseconds, MOST_CHANGE * rate));
    this.rates = { flops: grown(this.rates.flops, done.flops), bytes: grown(this.rates.bytes, done.bytes) };
  }

  #slower(factor: number): void {
    const shrunk = (rate: number, first: number): number =>
      Math.min(rate, Math.max(rate * factor, rate / MOST_CHANGE, first * LEAST_RATE));
    const { flops, bytes } = this.rates;
    this.rates = { flops: shrunk(flops, FIRST_RATES.flops), bytes: shrunk(bytes, FIRST_RATES.bytes) };
  }
}

/** The work of a dispatch that states none: its tensors, each once. */
export function bytesOf(tensors: Readonly<Record<string, { readonly sizeBytes: number }>>): Work {
  let bytes = 0;
  for (const name in tensors) bytes += tensors[name]!.sizeBytes;
  return { bytes };
}
