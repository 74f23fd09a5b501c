/** Common parts of HTTP transfers: retries, and the chunks of a body. */

import { AbortedError, OcellusError, SourceError, throwIfAborted } from "../../base/errors.js";
import type { Fetch } from "../../base/web-types.js";

/** Maximum consecutive failures without a received byte. */
const ATTEMPTS = 4;

/** Time without a response or a byte after which a request is broken off and repeated, if it is not given. */
const IDLE_MILLISECONDS = 30_000;

/** A transient transfer error, which is retried. */
export class BrokenTransfer extends Error {}

/** A server that accepts requests and sends nothing. */
class SilentTransfer extends BrokenTransfer {}

/** Resolves like `promise`, or rejects with a transient error if that takes too long. */
async function inTime<T>(promise: Promise<T>, idleMilliseconds: number, awaited: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    const end = (): void => reject(new SilentTransfer(`no ${awaited} in ${idleMilliseconds / 1000} seconds`));
    timer = setTimeout(end, idleMilliseconds);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** `fetch` that ends a request without a response. */
export async function fetchInTime(
  send: Fetch,
  url: string,
  init: { headers?: Record<string, string>; method?: string; signal?: AbortSignal },
  idleMilliseconds = IDLE_MILLISECONDS,
): Promise<Response> {
  const stop = new AbortController();
  const signal = init.signal ? AbortSignal.any([init.signal, stop.signal]) : stop.signal;
  try {
    return await inTime(send(url, { ...init, signal }), idleMilliseconds, "response");
  } catch (cause) {
    if (cause instanceof SilentTransfer) stop.abort();
    throw cause;
  }
}

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
        if (cause instanceof BrokenTransfer && !(cause instanceof SilentTransfer) && !reason.startsWith("status"))
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

/**
 * Yields the chunks of a body with a reader, since not every browser supports async iteration of streams. Throws BrokenTransfer if none
 * arrives in time.
 */
export async function* chunksOf(response: Response, idleMilliseconds = IDLE_MILLISECONDS): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), idleMilliseconds, "byte");
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
