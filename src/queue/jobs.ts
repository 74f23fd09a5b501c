import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { failure } from "../openai/api-error.js";
import { answered, type BatchRequest, type BatchResult } from "../server/batch-lines.js";

/** Name of the queue in Redis if none is given. Workers take jobs of one queue, so each model has its own. */
export const QUEUE_NAME = "ocellus";

/** Hexadecimal digits of a job's id: 160 bits of a hash. */
const ID_DIGITS = 40;
/** Characters of `custom_id` that dashboards show as the job's name. */
const NAME_LENGTH = 100;

/** Progress that a worker reports of a running job. */
export interface JobProgress {
  /** Pieces of text that were generated so far: about a token each. */
  readonly tokens: number;
}

/**
 * The id of a request's job: a hash of its `custom_id` and content. Enqueueing the same request again gives the same id, so it is not
 * computed twice.
 */
export function jobId({ custom_id, url, body }: BatchRequest): string {
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify([custom_id, url, body])))).slice(0, ID_DIGITS);
}

/** The name of a request's job, which dashboards show. */
export function jobName({ custom_id }: BatchRequest): string {
  return custom_id.slice(0, NAME_LENGTH);
}

/** The result of a job that failed in all its attempts. */
export function failedResult(customId: string, reason: string): BatchResult {
  return answered(customId, 500, failure(500, reason, "job_failed").body);
}
