import type { Ended, LoadProgress, MemoryUse } from "./backend.js";
import type { HiddenError } from "./hidden-error.js";

// Between the server and the model's process, over the channel of `fork`. Requests and answers go over a socket.

/** The first message to the process; `settings` are for its loader. The process ends when the channel closes. */
export interface Start {
  readonly socket: string;
  readonly parallel: number;
  readonly maxPixels: number | undefined;
  readonly remoteMedia: boolean;
  readonly settings: unknown;
}

/** Messages of the process. */
export type ProcessMessage =
  | { readonly kind: "ready"; readonly adapter: string }
  /** Loading failed: the status for the exit, and what is printed of the error. */
  | { readonly kind: "failed"; readonly status: number; readonly text: string }
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "ended"; readonly number: number; readonly ended: Ended }
  | { readonly kind: "memory"; readonly use: MemoryUse }
  | { readonly kind: "error"; readonly error: HiddenError }
  | { readonly kind: "progress"; readonly progress: LoadProgress };

/** Headers of a request to the process: its number, which `ended` has too, and its id, which the log has. */
export const NUMBER = "x-ocellus-number";
export const ID = "x-request-id";
