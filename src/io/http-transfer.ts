/** What every HTTP transfer needs: trying again after a break, and the chunks of a body. */

import { AbortedError, OcellusError, SourceError, throwIfAborted } from "../runtime/errors.js";

/** Failures in a row, with no byte received between them, before a read is given up. */
const ATTEMPTS = 4;

/** A transfer that may go through when tried again. */
export class BrokenTransfer extends Error {}

/** Whether a status (RFC 9110, section 15) may turn into success when the request is made again. */
export function mayPass(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

export function truncated(where: string, expected: string, got: string, cause?: unknown): SourceError {
  return new SourceError({ where, expected, got: `${got} (truncated)`, remedy: "get the file again", cause });
}

/**
 * Runs `attempt` again after a broken transfer; progress sets the count of failures back.
 * The first wait is `delayMilliseconds`, and it doubles each time;
 * it gives up after `attempts` failures in a row.
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
          throw truncated(where, "the range asked for", reason);
        const remedy = "check the network and try again";
        throw new SourceError({ where, expected: "an answer", got: reason, remedy, cause });
      }
      await sleep(delayMilliseconds * 2 ** (failures - 1), signal, where);
    }
  }
}

/** Node's `fetch` says "fetch failed" and keeps the reason in its cause. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const under = cause.cause instanceof Error ? cause.cause.message : "";
  return under && !cause.message.includes(under) ? `${cause.message} (${under})` : cause.message;
}

/** The chunks of a body. A reader and not `for await` over the stream, which not every browser has. */
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

/** "bytes 0-99/1234" or "bytes *\/0"; total undefined where it is "*". */
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
