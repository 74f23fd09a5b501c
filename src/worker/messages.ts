/** What a page and its worker say to each other, over a port of their own. Numbers are the page's names of calls and sessions. */

import type { AnswerPiece } from "../models/answer.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { SentError } from "./sent-error.js";

/** The first message, to the worker itself; the port comes with it. */
export interface Connect {
  readonly ocellus: "connect";
  readonly port: MessagePort;
  /** The name that the page holds as long as it lives, where there is such a thing. */
  readonly life: string | undefined;
  /** Set to 1 when the model has been disposed, where threads must not end before (Node). */
  readonly flag: Int32Array | undefined;
}

export function isConnect(data: unknown): data is Connect {
  return typeof data === "object" && data !== null && (data as Partial<Connect>).ocellus === "connect";
}

/** Options without what cannot be sent. */
export interface SentOptions {
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of those that are functions of the page. */
  readonly callbacks: readonly string[];
  /** Whether an abort may follow. */
  readonly signal: boolean;
}

/** A File keeps its name here: Node's structured clone makes a Blob of it. */
export interface SentFile {
  readonly blob: Blob;
  readonly name: string;
  readonly path: string | undefined;
}

/** A part with a picture or a clip, by the number under which the page keeps what it was given. */
export interface SentMedium {
  readonly ref: number;
  readonly part: object;
}

/** A message of a session's conversation; media that the page sent are named by their numbers. */
export interface SentMessage {
  readonly role: string;
  readonly content: string | readonly (object | { readonly ref: number })[];
}

/** What is known of a model once it is loaded. */
export interface LoadReply {
  readonly adapter: AdapterFacts;
  readonly contextTokens: number;
}

export type EmbedMethod = "embedImage" | "embedVideo" | "embedText";
export type SessionMethod = "generate" | "append" | "measure" | "attention";

export type ToWorker =
  | { kind: "load"; call: number; location: string | readonly SentFile[]; options: SentOptions }
  | { kind: "session"; session: number; options: object }
  | { kind: "clone"; session: number; from: number }
  | { kind: "reset" | "end"; session: number }
  | { kind: "ask"; call: number; session: number; method: SessionMethod; input: unknown; options: SentOptions }
  | { kind: "embed"; call: number; method: EmbedMethod; input: unknown; options: SentOptions }
  | { kind: "abort" | "stop"; call: number }
  | { kind: "dispose" };

export type ToPage =
  | { kind: "connected"; life: string | undefined }
  | { kind: "piece"; call: number; piece: AnswerPiece }
  | { kind: "callback"; call: number; name: string; values: readonly unknown[] }
  | { kind: "done"; call: number; value: unknown; messages?: readonly SentMessage[] }
  | { kind: "failed"; call: number; error: SentError };
