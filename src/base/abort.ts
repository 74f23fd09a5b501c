import { AbortedError, throwIfAborted } from "./errors.js";

/**
 * Resolves like `promise`, or rejects with AbortedError as soon as the signal fires. Submitted GPU work continues; its result is
 * dropped. `where` names the aborted operation.
 */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  where: string,
): Promise<T> {
  if (!signal) return promise;
  // After an abort nothing awaits the promise: avoid an unhandled rejection.
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

/** Lets the event loop run within long work on the CPU, then throws AbortedError if the signal has fired. */
export async function pause(signal: AbortSignal | undefined, where: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  throwIfAborted(signal, where);
}
