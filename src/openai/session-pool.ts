import type { ChatModel, ChatSession } from "../models/chat/chat-model.js";

/** Longer strings of a request are mostly pictures; length and end identify them well enough for a heuristic. */
const LONG_TEXT = 1000;

interface Cached {
  readonly session: ChatSession;
  readonly marks: readonly string[];
}

/** A session leased to a request, and the conversation that the request leaves in it. */
export interface Lease {
  readonly session: ChatSession;
  /** Call once when the answer has ended: caches the session for follow-up requests, or disposes it after a failure. */
  giveBack(sound: boolean): void;
}

/**
 * Caches sessions between requests. A request leases a session exclusively and passes it the whole conversation; a cached session only
 * saves the prefill of the common prefix.
 */
export class SessionPool {
  readonly #cached: Cached[] = [];
  /** Leased sessions. */
  #lent = 0;
  #disposed = false;

  constructor(
    private readonly model: ChatModel,
    private readonly most: number,
  ) {}

  /** Leases the cached session with the longest common prefix of the conversation, or a new one. */
  take(messages: readonly unknown[]): Lease {
    const marks = messages.map(markOf);
    const alike = this.#cached.map((kept) => commonLength(kept.marks, marks));
    const best = Math.max(...alike);
    const spare = best === 0 && this.#cached.length + this.#lent < this.most;
    const kept = spare ? undefined : this.#cached.splice(Math.max(alike.indexOf(best), 0), 1)[0];
    const session = kept?.session ?? this.model.createSession();
    this.#lent++;
    return {
      session,
      giveBack: (sound) => {
        this.#lent--;
        if (!sound || this.#disposed) return session.dispose();
        this.#cached.push({ session, marks });
        if (this.#cached.length > this.most) this.#cached.shift()!.session.dispose();
      },
    };
  }

  dispose(): void {
    this.#disposed = true;
    for (const { session } of this.#cached.splice(0)) session.dispose();
  }
}

function markOf(message: unknown): string {
  return JSON.stringify(message, (_, value: unknown) =>
    typeof value === "string" && value.length > LONG_TEXT ? [value.length, value.slice(-LONG_TEXT)] : value,
  );
}

function commonLength(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
