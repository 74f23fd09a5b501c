/** Common parts of HTTP transfers: retries, and the chunks of a body. */

import { AbortedError, OcellusError, SourceError, throwIfAborted } from "../../base/errors.js";

/** Maximum consecutive failures without a received byte. */
const ATTEMPTS = 4;

/** A transient transfer error, which is retried. */
export class BrokenTransfer extends Error {}

/** Whether a status (RFC 9110, section 15) is transient. */
export function mayPass(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

export function truncated(where: string, expected: string, got: string, cause?: unknown): SourceError {
  return new SourceError({ where, expected, got: `${got} (truncated)`, remedy: "get the file again", cause });
}

/**
 * Retries `attempt` with exponential backoff: the first delay is `delayMilliseconds` and doubles each time; progress resets the count
 * of failures. Gives up after `attempts` consecutive failures.
 * @throws SourceError after the last attempt; AbortedError; what `attempt` throws on purpose.
 */
export async function retrying<T>(
  where: string,
  delayMilliseconds: number,
  signal: AbortSignal | undefined,
  attempt: (progressed: () => void) => Promise<T>,
  attempts = ATTEMPTS,
): Promise<T> {
  let failures = 0;
  for (;;) {
    throwIfAborted(signal, where);
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (cause) {
      throwIfAborted(signal, where);
      if (cause instanceof OcellusError) throw cause;
      if (++failures >= attempts) {
        const reason = reasonOf(cause);
        if (cause instanceof BrokenTransfer && !reason.startsWith("status"))
          throw truncated(where, "the requested range", reason);
        const remedy = "check the network and try again";
        throw new SourceError({ where, expected: "a response", got: reason, remedy, cause });
      }
      await sleep(delayMilliseconds * 2 ** (failures - 1), signal, where);
    }
  }
}

/** Returns the reason of a failed fetch; Node's message is "fetch failed", with the reason as cause. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const under = cause.cause instanceof Error ? cause.cause.message : "";
  return under && !cause.message.includes(under) ? `${cause.message} (${under})` : cause.message;
}

/** Yields the chunks of a body with a reader, since not every browser supports async iteration of streams. */
export async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Parses "bytes 0-99/1234" or "bytes *\/0"; `total` is undefined for "*". */
export function parseContentRange(header: string | null): { start: number; total: number | undefined } | undefined {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/i.exec(header?.trim() ?? "");
  if (!match) return undefined;
  return { start: Number(match[1] ?? 0), total: match[2] === "*" ? undefined : Number(match[2]) };
}

async function sleep(milliseconds: number, signal: AbortSignal | undefined, where: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new AbortedError(where, signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
