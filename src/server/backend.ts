import type { AnswerResult } from "../models/chat/answer.js";
import type { HiddenError } from "./hidden-error.js";
import type { Priority } from "./priority.js";

/** A request as the front passes it on: not parsed. */
export interface Asked {
  /** The request's id, for the log. */
  readonly id: string;
  readonly path: string;
  readonly priority?: Priority;
  readonly body: readonly Uint8Array[];
}

/** A response whose body is read once. */
export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/** What the metrics need of an answer. */
export type AnswerCounts = Pick<AnswerResult, "usage" | "timings">;

/** The end of a request in the model's process, answered or aborted: its answers, none after an error. */
export interface Ended {
  readonly answers: readonly AnswerCounts[];
  /** Seconds in the model's process until the first answer was complete. */
  readonly seconds: number;
}

/** A request under way. */
export interface Asking {
  /** Rejects with LostError if the process ends first, and with the signal's reason. */
  readonly reply: Promise<Reply>;
  /** Resolves when the model has nothing left to do for the request, or when its process has ended. Never rejects. */
  readonly ended: Promise<Ended>;
}

/** A process that has loaded the model, the seconds that it took, and the adapter's name. */
export interface ReadyProcess {
  readonly pid: number;
  readonly seconds: number;
  readonly adapter: string;
}

/** Memory of a model on its device. */
export interface MemoryUse {
  readonly gpuBytes: number;
  /** Blocks of keys and values that are in use, and those of them that several sequences share. */
  readonly usedBlocks: number;
  readonly sharedBlocks: number;
  /** How often a sequence gave its blocks up because they did not fit beside those of others. */
  readonly preemptions: number;
}

/** What a backend reports at any time. */
export interface BackendEvents {
  /** The model is loaded, for the first time or again. */
  ready(process: ReadyProcess): void;
  /** The model's process or its device was lost: requests that were running reject afterwards. */
  lost(reason: string): void;
  /** It is lost for good. */
  failed(error: Error): void;
  memory(use: MemoryUse): void;
  error(error: HiddenError): void;
  /** Progress of loading. */
  progress(progress: LoadProgress): void;
}

export interface LoadProgress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly bytesPerSecond?: number | undefined;
}

/** Where requests are answered. */
export interface Backend {
  /** Resolves when the model is loaded. Throws what loading throws, and AbortedError after `stop`. */
  start(events: BackendEvents): Promise<void>;
  ask(asked: Asked, signal: AbortSignal): Asking;
  stop(): Promise<void>;
}

/** The end of a request that was lost, or did not get there. */
export const NOTHING: Ended = { answers: [], seconds: 0 };

/** The model's process ended while it had a request. */
export class LostError extends Error {}
