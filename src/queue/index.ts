/** A queue of requests in Redis or Valkey, which `ocellus worker` answers on any number of machines. */

export type { BatchRequest, BatchResult } from "../server/batch-lines.js";
export { enqueue, type JobCounts, JobQueue, type JobQueueOptions, type RunOptions } from "./job-queue.js";
export type { JobProgress } from "./jobs.js";
