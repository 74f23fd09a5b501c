import type { Job, Worker } from "bullmq";
import { causeMessage } from "../base/cause-message.js";
import { OcellusError } from "../base/errors.js";
import type { BatchRequest, BatchResult } from "../server/batch-lines.js";
import type { JobProgress } from "./jobs.js";
import { QueueConnection } from "./redis.js";

/** Minimum interval between two reports of a job's progress. */
const PROGRESS_MS = 1000;
const MINUTE_MS = 60_000;
/** Containers of a queue and its workers start together. */
const PATIENCE_MS = 30_000;

/** Time after the grace in which jobs are given back. Without the server they stay until their locks expire. */
const GIVE_BACK_MS = 3000;

/** Errors of BullMQ that have an event of their own. */
const REPORTED = /ECONN|EPIPE|Connection is closed|could not renew lock/;

/** What a worker may do with a request while it answers it. */
export interface JobTools {
  /** Aborts when the job was given to another worker, or has to go back to the queue. */
  readonly signal: AbortSignal;
  /** Reports progress; most reports are dropped. */
  readonly progress: (progress: JobProgress) => void;
}

/** Events of a worker, for its log. */
export interface QueueWorkerEvents {
  /** A request has its result. */
  completed?: (request: BatchRequest, result: BatchResult, seconds: number) => void;
  /** An attempt failed; the job is tried again unless it was the last. */
  failed?: (request: BatchRequest, error: unknown, attempt: number, attempts: number) => void;
  /** A job of another worker was returned to the queue, since its lock had expired. */
  stalled?: (id: string) => void;
  /** A lock of this worker had expired: the job is another one's. */
  lost?: (id: string) => void;
  /** A note on the connection or on BullMQ's work. */
  note?: (text: string) => void;
}

export interface QueueWorkerOptions {
  /** Name of the queue. */
  readonly name: string;
  /** The call, for errors. */
  readonly where: string;
  /** Jobs at once. */
  readonly concurrency: number;
  /** Jobs a minute that all workers of the queue start; no limit if not given. */
  readonly jobsPerMinute?: number | undefined;
  /**
   * Seconds for which a job stays with a worker that has stopped renewing its lock. A lock is renewed every half of it, by a timer of this
   * process; within twice this time another worker takes a job whose worker has died.
   */
  readonly lockSeconds: number;
  /** Workers that may die over a job before it fails. */
  readonly stalls: number;
  /** Answers a request. Throws for faults of the machine, after which the job is tried again. */
  readonly answer: (request: BatchRequest, tools: JobTools) => Promise<BatchResult>;
  readonly events: QueueWorkerEvents;
  readonly signal?: AbortSignal | undefined;
}

/** Takes jobs from a queue and answers them, until it is closed. */
export class QueueWorker {
  /** Aborts the answers that run, whose jobs go back to the queue. */
  readonly #giveBack = new AbortController();
  readonly #worker: Worker<BatchRequest, BatchResult>;

  private constructor(
    private readonly connection: QueueConnection,
    private readonly options: QueueWorkerOptions,
  ) {
    const { name, concurrency, jobsPerMinute, lockSeconds, stalls, events } = options;
    const { bullmq, redis } = connection;
    this.#worker = new bullmq.Worker(name, (job, token, lost) => this.#run(job, token, lost), {
      connection: redis,
      concurrency,
      lockDuration: 1000 * lockSeconds,
      stalledInterval: 1000 * lockSeconds,
      maxStalledCount: stalls,
      ...(jobsPerMinute !== undefined && { limiter: { max: jobsPerMinute, duration: MINUTE_MS } }),
    });
    let last = "";
    this.#worker.on("error", (error) => {
      // Losses of the connection and of locks are reported in other ways, and BullMQ repeats its errors.
      const text = causeMessage(error);
      if (text !== last && !REPORTED.test(text)) events.note?.(text);
      last = text;
    });
    this.#worker.on("stalled", (id) => events.stalled?.(id));
    this.#worker.on("lockRenewalFailed", (ids) => {
      for (const id of ids) {
        events.lost?.(id);
        this.#worker.cancelJob(id, "its lock has expired");
      }
    });
  }

  /** Connects and begins. Throws what {@link QueueConnection.open} throws. */
  static async start(url: string, options: QueueWorkerOptions): Promise<QueueWorker> {
    const { where, events, signal } = options;
    const connection = await QueueConnection.open(where, url, {
      signal,
      patienceMs: PATIENCE_MS,
      onLost: (reason) => events.note?.(`the connection to the queue is lost (${reason}); trying again`),
      onRestored: () => events.note?.("connected to the queue again"),
    });
    return new QueueWorker(connection, options);
  }

  /**
   * Takes no more jobs, waits until those that run are answered, and disconnects. After `graceMs` the answers are aborted, and their jobs
   * go back to the queue without counting as an attempt.
   */
  async close(graceMs: number): Promise<void> {
    const late = setTimeout(() => this.#giveBack.abort(), graceMs);
    const closing = this.#worker.close().finally(() => clearTimeout(late));
    await this.connection.close(closing, graceMs + GIVE_BACK_MS);
  }

  async #run(job: Job<BatchRequest, BatchResult>, token?: string, lost?: AbortSignal): Promise<BatchResult> {
    const { answer, events } = this.options;
    const begun = performance.now();
    const signals = [this.#giveBack.signal, ...(lost ? [lost] : [])];
    let reported = begun;
    const progress = (progress: JobProgress): void => {
      const now = performance.now();
      if (now - reported < PROGRESS_MS) return;
      reported = now;
      job.updateProgress({ ...progress }).catch(() => {});
    };
    try {
      const result = await answer(job.data, { signal: AbortSignal.any(signals), progress });
      events.completed?.(job.data, result, (performance.now() - begun) / 1000);
      return result;
    } catch (error) {
      if (lost?.aborted || this.#giveBack.signal.aborted) {
        if (!lost?.aborted) await job.moveToWait(token);
        // BullMQ leaves the job as it is.
        throw new this.connection.bullmq.WaitingError();
      }
      events.failed?.(job.data, error, job.attemptsMade + 1, job.opts.attempts ?? 1);
      throw error instanceof OcellusError || error instanceof JobFault ? error : new JobFault();
    }
  }
}

/** A fault of the machine, as the queue may have it: not its details, which the worker's log has. */
export class JobFault extends Error {
  constructor(message = "internal error; see the worker's log") {
    super(message);
    this.name = "JobFault";
  }
}
