import type { Queue, QueueEvents } from "bullmq";
import type { BatchRequest, BatchResult } from "../server/batch-lines.js";

/** Interval in which the states of all expected jobs are read, for events that were missed. */
const SWEEP_MS = 5000;

/** The end of a job. */
export interface Finished {
  readonly id: string;
  /** The result, or why the job failed in its last attempt; undefined if there is no such job. */
  readonly end: { readonly completed: BatchResult } | { readonly failed: string } | undefined;
}

/**
 * Finds out when jobs end: from the queue's events, which may be trimmed or lost with the server, and from the jobs' states, now and
 * then.
 */
export class Results {
  readonly #expected = new Set<string>();
  readonly #finished: Finished[] = [];
  readonly #sweeping: ReturnType<typeof setInterval>;

  /** `changed` is called when `take` has something. */
  constructor(
    private readonly queue: Queue<BatchRequest, BatchResult>,
    private readonly events: QueueEvents,
    private readonly changed: () => void,
  ) {
    events.on("completed", this.#onCompleted);
    events.on("failed", this.#onFailed);
    this.#sweeping = setInterval(() => {
      for (const id of this.#expected) this.#read(id);
    }, SWEEP_MS);
  }

  /** Waits for the end of a job, which may have ended already. */
  expect(id: string): void {
    this.#expected.add(id);
    this.#read(id);
  }

  /** Returns the end of a job, each once. */
  take(): Finished | undefined {
    return this.#finished.shift();
  }

  close(): void {
    clearInterval(this.#sweeping);
    this.events.off("completed", this.#onCompleted);
    this.events.off("failed", this.#onFailed);
  }

  // The event brings the result: the job, which may have a picture, is not read again.
  readonly #onCompleted = ({ jobId, returnvalue }: { jobId: string; returnvalue: unknown }): void => {
    this.#found(jobId, { completed: returnvalue as BatchResult });
  };

  readonly #onFailed = ({ jobId }: { jobId: string }): void => {
    if (this.#expected.has(jobId)) this.#read(jobId);
  };

  #found(id: string, end: Finished["end"]): void {
    if (!this.#expected.delete(id)) return;
    this.#finished.push({ id, end });
    this.changed();
  }

  /** Reads a job's state; while the server is away the command waits, and what fails is repeated by the next sweep. */
  #read(id: string): void {
    this.#state(id).catch(() => {});
  }

  async #state(id: string): Promise<void> {
    const state = await this.queue.getJobState(id);
    if (state === "unknown") this.#found(id, undefined);
    if (state !== "completed" && state !== "failed") return;
    const job = await this.queue.getJob(id);
    if (state === "completed" && job?.returnvalue) this.#found(id, { completed: job.returnvalue });
    else if (state === "failed" && job) this.#found(id, { failed: job.failedReason });
  }
}
