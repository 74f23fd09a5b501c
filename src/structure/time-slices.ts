/** Length of a time slice in milliseconds. */
const MOST_MS = 15;

/**
 * Measures a time slice. Long work is a generator that yields at the end of each slice, so that it does not block the event
 * loop.
 */
export class TimeSlice {
  #begun = performance.now();

  /** Whether the slice is over; if so, the next one begins. */
  over(): boolean {
    const now = performance.now();
    if (now - this.#begun < MOST_MS) return false;
    this.#begun = now;
    return true;
  }

  /** Starts a slice, after a yield. */
  begin(): void {
    this.#begun = performance.now();
  }
}

/** Runs the work to its end, without yielding. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Runs the work in time slices, and yields to the event loop between them; `check` is called after each and may throw. */
export async function inTimeSlices<T>(work: Generator<void, T>, check: () => void): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await new Promise((resolve) => setTimeout(resolve));
    check();
  }
}
