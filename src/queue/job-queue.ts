import type { Queue, QueueEvents } from "bullmq";
import { OptionError, SourceError, shown, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { BatchRequest, BatchResult } from "../server/batch-lines.js";
import { Feeder } from "./feeder.js";
import { failedResult, type JobProgress, jobId, jobName, QUEUE_NAME } from "./jobs.js";
import { QueueConnection } from "./redis.js";
import { checkQueueName, checkRequest } from "./requests.js";
import { Results } from "./results.js";
import { Wake } from "./wake.js";

/** Attempts of a job, and the delay before the second, which doubles with each. */
const ATTEMPTS = 5;
const BACKOFF_SECONDS = 1;
/** Time for which finished jobs stay, if nobody takes their results. */
const KEEP_SECONDS = 7 * 24 * 3600;
/** Requests that are added in one step. */
const STEP = 100;
/** Requests in the queue at once in `run`: what Redis stores of a long file. */
const AHEAD = 1000;

/** Options of {@link JobQueue.connect} and {@link enqueue}. */
export interface JobQueueOptions {
  /** Name of the queue; "ocellus" if not given. `ocellus worker --queue-name` has the same. */
  name?: string;
  /** Number of attempts of a request whose worker fails; 5 if not given. Errors of the request itself are final at once. */
  attempts?: number;
  /** Seconds before the second attempt; the delay doubles with each. 1 if not given. */
  backoffSeconds?: number;
  /** Seconds for which a result that nobody reads stays in Redis; 7 days if not given. */
  keepSeconds?: number;
}

/** Options of {@link JobQueue.run}. */
export interface RunOptions {
  /** Requests that are in the queue at once; 1,000 if not given. */
  ahead?: number;
  signal?: AbortSignal | undefined;
  /** Called when a worker reports progress of a request, at most once a second each. */
  onProgress?: (customId: string, progress: JobProgress) => void;
}

/** Numbers of jobs by state. */
export interface JobCounts {
  readonly waiting: number;
  /** Taken by a worker. */
  readonly active: number;
  /** Waiting for another attempt. */
  readonly delayed: number;
  readonly completed: number;
  /** Failed in all attempts. */
  readonly failed: number;
}

/**
 * A queue of requests in Redis or Valkey (BullMQ), which `ocellus worker` answers on any number of machines. Needs the packages `bullmq` and
 * `ioredis`.
 * @example
 * ```ts
 * const queue = await JobQueue.connect("redis://localhost:6379");
 * const body = { messages: [{ role: "user", content: "Hello!" }] };
 * const requests = [{ custom_id: "greeting", method: "POST", url: "/v1/chat/completions", body }] as const;
 * for await (const result of queue.run(requests)) console.log(result.custom_id, result.response?.body);
 * await queue.close();
 * ```
 */
export class JobQueue {
  readonly #connection: QueueConnection;
  readonly #queue: Queue<BatchRequest, BatchResult>;
  readonly #options: Required<JobQueueOptions>;
  /** Opened when results are awaited. */
  #events: QueueEvents | undefined;

  private constructor(connection: QueueConnection, options: Required<JobQueueOptions>) {
    this.#connection = connection;
    this.#options = options;
    this.#queue = new connection.bullmq.Queue<BatchRequest, BatchResult>(options.name, {
      connection: connection.redis,
    });
    // The connection reports its own losses; BullMQ repeats them.
    this.#queue.on("error", () => {});
  }

  /**
   * Connects to the server, such as `redis://localhost:6379`. Throws MissingPackageError without the packages, OptionError, and SourceError
   * if the server is not reachable. Later losses of the connection are repaired; calls wait meanwhile.
   */
  static async connect(url: string, options: JobQueueOptions = {}): Promise<JobQueue> {
    const where = "JobQueue.connect";
    checkOptions(where, options, ["name", "attempts", "backoffSeconds", "keepSeconds"]);
    const {
      name = QUEUE_NAME,
      attempts = ATTEMPTS,
      backoffSeconds = BACKOFF_SECONDS,
      keepSeconds = KEEP_SECONDS,
    } = options;
    checkQueueName(`${where}, name`, name);
    checkCount(`${where}, attempts`, attempts);
    checkSeconds(`${where}, backoffSeconds`, backoffSeconds);
    checkSeconds(`${where}, keepSeconds`, keepSeconds);
    return new JobQueue(await QueueConnection.open(where, url), { name, attempts, backoffSeconds, keepSeconds });
  }

  /**
   * Adds requests, and returns the ids of their jobs. A request that is in the queue already, or has a result there, is not added again; one
   * that failed is. Throws OptionError for a request that is none.
   */
  async enqueue(requests: readonly BatchRequest[]): Promise<string[]> {
    for (const request of requests) checkRequest("JobQueue.enqueue", request);
    const ids: string[] = [];
    for (let at = 0; at < requests.length; at += STEP) {
      const step = requests.slice(at, at + STEP);
      const own = step.map(jobId);
      await this.#removeFailed(own);
      await this.#queue.addBulk(
        step.map((request, i) => ({ name: jobName(request), data: request, opts: this.#jobOptions(own[i]!) })),
      );
      ids.push(...own);
    }
    return ids;
  }

  /**
   * Waits for the result of a job, given its id. A job that failed in all attempts has a result of status 500. Throws SourceError if there
   * is no such job, AbortedError.
   */
  async result(id: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<BatchResult> {
    const wake = new Wake();
    const results = new Results(this.#queue, await this.#listening(), () => wake.wake());
    const abort = (): void => wake.wake();
    signal?.addEventListener("abort", abort);
    try {
      results.expect(id);
      await wake.wait();
      throwIfAborted(signal, "JobQueue.result");
      const end = results.take()?.end;
      if (!end) {
        throw new SourceError({
          where: "JobQueue.result",
          expected: "the id of a job in the queue",
          got: shown(id),
          remedy: "check the name of the queue; finished jobs are removed after keepSeconds",
        });
      }
      if ("completed" in end) return end.completed;
      return failedResult((await this.#queue.getJob(id))?.data.custom_id ?? id, end.failed);
    } finally {
      signal?.removeEventListener("abort", abort);
      results.close();
    }
  }

  /**
   * Adds requests and yields their results as they are completed, one for each different request. Redis has at most `ahead` of them at once,
   * and a result until the next one is asked for: what the loop has stored by then is not computed again if the program ends and runs
   * the same requests later. Jobs that Redis has lost are added again. Leaving the loop leaves the rest in the queue. Throws OptionError
   * for a request that is none, AbortedError, and what `requests` throws.
   */
  async *run(
    requests: AsyncIterable<BatchRequest> | Iterable<BatchRequest>,
    { ahead = AHEAD, signal, onProgress }: RunOptions = {},
  ): AsyncGenerator<BatchResult, void, void> {
    checkCount("JobQueue.run, ahead", ahead);
    const events = await this.#listening();
    const wake = new Wake();
    const changed = (): void => wake.wake();
    const results = new Results(this.#queue, events, changed);
    const pending = new Map<string, BatchRequest>();
    const add = async (request: BatchRequest): Promise<void> => {
      checkRequest("JobQueue.run", request);
      const id = jobId(request);
      pending.set(id, request);
      await this.enqueue([request]);
      results.expect(id);
    };
    const removing = new Set<Promise<unknown>>();
    const feeder = new Feeder(requests, add, changed);
    const progress = ({ jobId: id, data }: { jobId: string; data: unknown }): void => {
      const request = pending.get(id);
      if (request) onProgress?.(request.custom_id, data as JobProgress);
    };
    if (onProgress) events.on("progress", progress);
    signal?.addEventListener("abort", changed);
    try {
      for (;;) {
        throwIfAborted(signal, "JobQueue.run");
        if (feeder.isOver && pending.size === 0) {
          await Promise.all(removing);
          return;
        }
        feeder.fill(() => pending.size < ahead);
        const found = results.take();
        if (!found) {
          await wake.wait();
          continue;
        }
        const { id, end } = found;
        const request = pending.get(id);
        // The same request was given twice.
        if (!request) continue;
        if (!end) {
          // Redis lost it, or another client of the queue has taken its result.
          await add(request);
          continue;
        }
        pending.delete(id);
        yield "completed" in end ? end.completed : failedResult(request.custom_id, end.failed);
        // The server may be far away, and a result that stays is removed by its age.
        const removed = this.#queue
          .remove(id)
          .catch(() => {})
          .finally(() => removing.delete(removed));
        removing.add(removed);
      }
    } finally {
      signal?.removeEventListener("abort", changed);
      events.off("progress", progress);
      results.close();
      feeder.end();
    }
  }

  /** Returns the numbers of jobs by state. */
  async counts(): Promise<JobCounts> {
    const counts = await this.#queue.getJobCounts("waiting", "active", "delayed", "completed", "failed");
    const of = (state: keyof JobCounts): number => counts[state] ?? 0;
    return {
      waiting: of("waiting"),
      active: of("active"),
      delayed: of("delayed"),
      completed: of("completed"),
      failed: of("failed"),
    };
  }

  /** Closes the connections, also while the server is away. Jobs stay in the queue. */
  async close(): Promise<void> {
    await this.#connection.close(Promise.allSettled([this.#events?.close(), this.#queue.close()]));
  }

  #jobOptions(jobId: string) {
    const { attempts, backoffSeconds, keepSeconds } = this.#options;
    const kept = { age: keepSeconds };
    const backoff = { type: "exponential", delay: 1000 * backoffSeconds };
    return { jobId, attempts, backoff, removeOnComplete: kept, removeOnFail: kept };
  }

  async #removeFailed(ids: readonly string[]): Promise<void> {
    const states = await Promise.all(ids.map((id) => this.#queue.getJobState(id)));
    await Promise.all(ids.filter((_, i) => states[i] === "failed").map((id) => this.#queue.remove(id)));
  }

  async #listening(): Promise<QueueEvents> {
    const { bullmq, redis } = this.#connection;
    this.#events ??= new bullmq.QueueEvents(this.#options.name, { connection: redis })
      .on("error", () => {})
      // One listener for each result that is awaited.
      .setMaxListeners(0);
    await this.#events.waitUntilReady();
    return this.#events;
  }
}

/**
 * Adds requests to a queue and disconnects; returns the ids of their jobs, in order. {@link JobQueue} has the results.
 * @example
 * ```ts
 * const body = { messages: [{ role: "user", content: "Hello!" }] };
 * await enqueue("redis://localhost:6379", [{ custom_id: "1", method: "POST", url: "/v1/chat/completions", body }]);
 * ```
 */
export async function enqueue(
  url: string,
  requests: readonly BatchRequest[],
  options: JobQueueOptions = {},
): Promise<string[]> {
  const queue = await JobQueue.connect(url, options);
  try {
    return await queue.enqueue(requests);
  } finally {
    await queue.close();
  }
}

function checkCount(where: string, count: unknown): void {
  if (Number.isSafeInteger(count) && (count as number) >= 1) return;
  throw new OptionError({
    where,
    expected: "a whole number above 0",
    got: shown(count),
    remedy: "leave it out for the default",
  });
}

function checkSeconds(where: string, seconds: unknown): void {
  if (typeof seconds === "number" && seconds >= 0 && Number.isFinite(seconds)) return;
  throw new OptionError({ where, expected: "seconds", got: shown(seconds), remedy: "leave it out for the default" });
}
