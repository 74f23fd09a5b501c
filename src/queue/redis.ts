import type { Redis as Client } from "ioredis";
import { causeMessage, firstLineOf } from "../base/cause-message.js";
import { MissingPackageError, OptionError, SourceError, throwIfAborted } from "../base/errors.js";
import { installCommand, type OptionalPackage } from "../base/optional-packages.js";

/** Time in which the server must be reachable at the start, if no other is given. */
const PATIENCE_MS = 3000;
/** Interval between attempts to reach the server again. */
const RETRY_MS = 500;

/** Time for which `close` waits. */
const CLOSE_MS = 1000;

type BullMq = typeof import("bullmq");

export interface ConnectionOptions {
  /** Milliseconds in which the server must be reachable at the start; 3,000 if not given. */
  patienceMs?: number;
  signal?: AbortSignal | undefined;
  // A connection that is lost is made again by itself.
  onLost?: (reason: string) => void;
  onRestored?: () => void;
}

/** A connection to Redis or Valkey, and BullMQ. */
export class QueueConnection {
  private constructor(
    readonly bullmq: BullMq,
    readonly redis: Client,
    private readonly giveUp: () => void,
  ) {}

  /**
   * Connects; `where` is the call, for errors. Throws MissingPackageError, OptionError for an address of another kind, SourceError if the
   * server is not reachable.
   */
  static async open(where: string, url: string, options: ConnectionOptions = {}): Promise<QueueConnection> {
    const { patienceMs = PATIENCE_MS, signal, onLost, onRestored } = options;
    checkAddress(where, url);
    const { bullmq, Redis } = await packages(where);
    let isOver = false;
    const redis = new Redis(url, {
      lazyConnect: true,
      // Commands wait for the server as long as it takes: BullMQ requires it of workers.
      maxRetriesPerRequest: null,
      // BullMQ's own connections are copies of this one, with the same function.
      retryStrategy: () => (isOver ? null : RETRY_MS),
    });
    let reason = "no answer";
    let isLost = false;
    let isReady = false;
    redis.on("error", (error: Error) => {
      reason = firstLineOf(error) || causeMessage(error);
    });
    redis.on("close", () => {
      if (isLost || !isReady) return;
      isLost = true;
      onLost?.(reason);
    });
    redis.on("ready", () => {
      if (isLost) onRestored?.();
      isLost = false;
      isReady = true;
      reason = "the connection was closed";
    });
    try {
      await reached(redis, patienceMs, signal);
    } catch {
      redis.disconnect();
      throwIfAborted(signal, where);
      throw new SourceError({
        where,
        expected: `a Redis or Valkey server at ${withoutPassword(url)}`,
        got: reason,
        remedy: "start it (redis-server, or valkey-server), or correct host, port and password",
      });
    }
    return new QueueConnection(bullmq, redis, () => {
      isOver = true;
    });
  }

  /**
   * Waits until what uses the connection is closed, for at most `patienceMs`, since it may wait for a server that is away; then
   * disconnects, and drops the commands that wait.
   */
  async close(closing: Promise<unknown>, patienceMs = CLOSE_MS): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    await Promise.race([closing.catch(() => {}), late]);
    clearTimeout(timer);
    this.giveUp();
    this.redis.disconnect();
  }
}

/** Resolves when the server answers; rejects after some time, for a refusal such as a wrong password, and on the signal. */
async function reached(redis: Client, patienceMs: number, signal: AbortSignal | undefined): Promise<void> {
  const ended = new AbortController();
  const failed = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer")), patienceMs);
    const refused = (error: Error): void => {
      if (/NOAUTH|WRONGPASS|NOPERM|certificate|ENOTFOUND/.test(error.message)) reject(error);
    };
    const abort = (): void => reject(new Error("aborted"));
    redis.on("error", refused);
    signal?.addEventListener("abort", abort, { once: true });
    ended.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      redis.off("error", refused);
      signal?.removeEventListener("abort", abort);
    });
  });
  try {
    // The first attempt may fail where later ones succeed.
    redis.connect().catch(() => {});
    await Promise.race([redis.ping(), failed]);
  } finally {
    ended.abort();
  }
}

async function packages(where: string): Promise<{ bullmq: BullMq; Redis: typeof Client }> {
  const [bullmq, ioredis] = await Promise.allSettled([import("bullmq"), import("ioredis")]);
  if (bullmq.status === "fulfilled" && ioredis.status === "fulfilled") {
    return { bullmq: bullmq.value, Redis: ioredis.value.Redis };
  }
  const missing: OptionalPackage[] = [];
  if (bullmq.status === "rejected") missing.push("bullmq");
  if (ioredis.status === "rejected") missing.push("ioredis");
  const cause: unknown = bullmq.status === "rejected" ? bullmq.reason : (ioredis as PromiseRejectedResult).reason;
  throw new MissingPackageError({
    where,
    expected: `the package${missing.length > 1 ? "s" : ""} ${missing.join(" and ")}`,
    got: `an import that fails: ${firstLineOf(cause)}`,
    remedy: `run \`${installCommand(...missing)}\``,
    cause,
  });
}

function checkAddress(where: string, url: string): void {
  const protocol = typeof url === "string" && URL.canParse(url) ? new URL(url).protocol : undefined;
  if (protocol === "redis:" || protocol === "rediss:") return;
  throw new OptionError({
    where,
    expected: "the address of a Redis or Valkey server",
    got: protocol === undefined ? "text that is no address" : `an address of ${protocol}`,
    remedy: "give for example redis://localhost:6379, or rediss://user:password@host:6379/0 with TLS",
  });
}

/** An address as messages may have it. */
export function withoutPassword(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}
