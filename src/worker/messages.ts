/** The protocol between page and worker, over a MessagePort. Calls and sessions are identified by numbers that the page assigns. */

import type { AnswerPiece } from "../models/chat/answer.js";
import type { TrainingStep } from "../models/training-step.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { SentError } from "./sent-error.js";

/** The first message, posted to the worker itself with the port. */
export interface Connect {
  readonly ocellus: "connect";
  readonly port: MessagePort;
  /** Name of the page's lifeline lock, if supported. */
  readonly life: string | undefined;
  /** Set to 1 when the model has been disposed, where threads must not terminate before (Node). */
  readonly flag: Int32Array | undefined;
}

export function isConnect(data: unknown): data is Connect {
  return typeof data === "object" && data !== null && (data as Partial<Connect>).ocellus === "connect";
}

/** The cloneable part of a call's options. */
export interface SentOptions {
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of the callbacks, which stay in the page. */
  readonly callbacks: readonly string[];
  /** Whether the call has a signal. */
  readonly signal: boolean;
}

/** A File with its name, which Node's structured clone drops. */
export interface SentFile {
  readonly blob: Blob;
  readonly name: string;
  readonly path: string | undefined;
}

/** A part with a picture or a clip, with the number under which the page stores the original. */
export interface SentMedium {
  readonly ref: number;
  readonly part: object;
  /** Number of the Blob in the part: a structured clone is another object each time. */
  readonly blob?: number | undefined;
}

/** A message of a session's conversation; media are referenced by the page's numbers. */
export interface SentMessage {
  readonly role: string;
  readonly content: string | readonly (object | { readonly ref: number })[];
}

/** Result of loading or reloading a model. */
export interface LoadReply {
  readonly adapter: AdapterFacts;
  readonly contextTokens: number;
}

export type EmbedMethod = "embedImage" | "embedVideo" | "embedText";
export type SessionMethod = "generate" | "append" | "measure" | "attention";

/** What the page pulls from a run of training: the next step; the step's files or state, then each file and its chunks. */
export type Pulled = "step" | "files" | "state" | "file" | "chunk";

/** The cloneable part of a step. */
export type SentStep = Omit<TrainingStep, "files" | "state" | "evaluate">;

export type ToWorker =
  | { kind: "load"; call: number; location: string | readonly SentFile[]; options: SentOptions }
  | { kind: "reload"; call: number; options: SentOptions }
  | { kind: "session"; session: number; options: object }
  | { kind: "clone"; session: number; from: number }
  | { kind: "reset" | "end"; session: number }
  | { kind: "ask"; call: number; session: number; method: SessionMethod; input: unknown; options: SentOptions }
  | { kind: "embed"; call: number; method: EmbedMethod; input: unknown; options: SentOptions }
  | { kind: "train"; call: number; records: unknown; options: SentOptions }
  | { kind: "pull"; call: number; training: number; what: Pulled }
  | { kind: "evaluate"; call: number; training: number; records: unknown }
  | { kind: "finish"; training: number }
  | { kind: "abort" | "stop"; call: number }
  | { kind: "dispose" };

export type ToPage =
  | { kind: "connected"; life: string | undefined }
  | { kind: "piece"; call: number; piece: AnswerPiece }
  | { kind: "callback"; call: number; name: string; values: readonly unknown[] }
  | { kind: "done"; call: number; value: unknown; messages?: readonly SentMessage[] }
  | { kind: "failed"; call: number; error: SentError };
