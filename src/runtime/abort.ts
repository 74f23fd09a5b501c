import { AbortedError } from "./errors.js";

/**
 * `promise`, or AbortedError as soon as the signal fires: work that was submitted goes on, and what it leaves is dropped. `where`
 * says what was stopped.
 */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  where: string,
): Promise<T> {
  if (!signal) return promise;
  // Where the abort wins nobody waits for the promise.
  promise.catch(() => {});
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new AbortedError(where, signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
