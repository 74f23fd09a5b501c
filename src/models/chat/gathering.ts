import type { Device } from "../../runtime/device.js";

/** How long the device idles before work begins without the sequences that are not ready. */
const PATIENCE_MS = 10;

export interface GatheringOptions {
  /** Requests that are expected before work begins. */
  readonly expected: () => number;
  /** Requests that are done together at most. */
  readonly most?: number;
  /** Whether work of before is not recorded yet: call `check` afterwards. */
  readonly isBusy?: () => boolean;
}

/**
 * Requests of sequences that are done together: once all are there that are expected, or the device has been idle for some time without the
 * others.
 */
export class Gathering<T> {
  #waiting: T[] = [];
  /** How often work began. */
  #count = 0;
  #watching = false;

  constructor(
    private readonly device: Device,
    /** Records the work of the requests that have waited longest. */
    private readonly begin: (taken: readonly T[]) => void,
    private readonly options: GatheringOptions,
  ) {}

  add(request: T): void {
    this.#waiting.push(request);
    this.check();
  }

  /** Drops requests; call `check` if fewer are expected now. */
  drop(isDropped: (request: T) => boolean): void {
    this.#waiting = this.#waiting.filter((request) => !isDropped(request));
  }

  /** Begins if all are there that are expected; else waits for the others while the device is busy anyway. */
  check(): void {
    const { expected, most = Number.POSITIVE_INFINITY, isBusy } = this.options;
    if (this.#waiting.length === 0 || isBusy?.()) return;
    if (this.#waiting.length >= Math.min(expected(), most)) this.#begin();
    else void this.#watch();
  }

  #begin(): void {
    this.#count++;
    this.begin(this.#waiting.splice(0, this.options.most ?? this.#waiting.length));
  }

  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    try {
      for (let count = -1; this.#waiting.length > 0; ) {
        if (count === this.#count && !this.options.isBusy?.()) this.#begin();
        count = this.#count;
        // The loss of the device is reported by the work.
        await this.device.sync().catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
      }
    } finally {
      this.#watching = false;
    }
  }
}
