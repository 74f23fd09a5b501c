/** Longer than this nothing else should have to wait, in milliseconds. */
const MOST_MS = 15;

/** How long work has gone on. Work that takes long is a generator, which yields where its turn is over. */
export class TimeSlice {
  #begun = performance.now();

  /** Whether others should go on; then the next turn begins. */
  over(): boolean {
    const now = performance.now();
    if (now - this.#begun < MOST_MS) return false;
    this.#begun = now;
    return true;
  }

  /** After a yield: what others took is not counted. */
  begin(): void {
    this.#begun = performance.now();
  }
}

/** Does the work at once. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Does the work in turns, between which whatever else waits has its own; `check` is called after each and may throw. */
export async function inTimeSlices<T>(work: Generator<void, T>, check: () => void): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await new Promise((resolve) => setTimeout(resolve));
    check();
  }
}
