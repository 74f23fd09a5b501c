/** Milliseconds of prompts' work between two steps, if not given. */
const PREFILL_MS = 20;

/**
 * The share of the device that prompts get beside sequences that generate. Pieces of prompts, chunks of rows or tiles, follow each other
 * without a step between them for `mostMs`; between two steps there is always one of them. So a newcomer's first token is early, and the
 * tokens of others wait for no more than that.
 */
export class PromptShare {
  /** Estimated milliseconds of pieces since the last step might begin. */
  #spentMs = 0;
  /** Durations of the latest pieces. The first after a step has waited for it. */
  #durations: readonly number[] = [];
  #held = 0;

  constructor(
    /** Records steps that are ready. */
    private readonly release: () => void,
    readonly mostMs = PREFILL_MS,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Whether steps wait for a piece. */
  get holds(): boolean {
    return this.#held > 0;
  }

  /** Runs a piece of a prompt: `work` records it, and resolves when the device has done it. */
  async piece<T>(work: () => Promise<T>): Promise<T> {
    const ms = Math.min(...this.#durations);
    // The step comes after the piece that is not held.
    const isHeld = this.#spentMs + 2 * ms <= this.mostMs;
    this.#spentMs = isHeld ? this.#spentMs + ms : 0;
    if (isHeld) this.#held++;
    const begun = this.now();
    try {
      const done = work();
      if (!isHeld) this.release();
      return await done;
    } finally {
      if (isHeld) this.#held--;
      this.#durations = [...this.#durations.slice(-1), this.now() - begun];
    }
  }
}
