import type { ChatModel, ChatSession } from "../models/chat-model.js";

/** Texts of a request longer than this are mostly pictures; their length and end tell them apart well enough for a guess. */
const LONG_TEXT = 1000;

interface Kept {
  readonly session: ChatSession;
  readonly marks: readonly string[];
}

/** A session that one request has, and the conversation that it leaves in it. */
export interface Lease {
  readonly session: ChatSession;
  /** Once, when the answer has ended: keeps the session for a request that goes on from there, or, if something failed, not. */
  giveBack(sound: boolean): void;
}

/**
 * Sessions between requests. A request has a session to itself while it runs, and gives its whole conversation to it: a session that
 * was kept only saves computing what its prompt has in common with the one before.
 */
export class SessionPool {
  readonly #kept: Kept[] = [];
  /** Sessions that requests have now. */
  #lent = 0;
  #disposed = false;

  constructor(
    private readonly model: ChatModel,
    private readonly most: number,
  ) {}

  /** The kept session whose conversation begins most like this one, or a new one. */
  take(messages: readonly unknown[]): Lease {
    const marks = messages.map(markOf);
    const alike = this.#kept.map((kept) => commonLength(kept.marks, marks));
    const best = Math.max(...alike);
    const spare = best === 0 && this.#kept.length + this.#lent < this.most;
    const kept = spare ? undefined : this.#kept.splice(Math.max(alike.indexOf(best), 0), 1)[0];
    const session = kept?.session ?? this.model.createSession();
    this.#lent++;
    return {
      session,
      giveBack: (sound) => {
        this.#lent--;
        if (!sound || this.#disposed) return session.dispose();
        this.#kept.push({ session, marks });
        if (this.#kept.length > this.most) this.#kept.shift()!.session.dispose();
      },
    };
  }

  dispose(): void {
    this.#disposed = true;
    for (const { session } of this.#kept.splice(0)) session.dispose();
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
