import { failure } from "../openai/api-error.js";
import { Refusal } from "./refusal.js";

/** A longer timer would fire at once. */
export const LONGEST_MS = 2 ** 31 - 1;
/** The client has disconnected. */
export const LEFT = new Refusal(failure(499, "the client has disconnected", "aborted"));

/** The signal that ends one request: when time is over, its client leaves, or the server stops. Its reason is a Refusal. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(seconds: number, client: AbortSignal) {
    // The official client would retry a timeout twice.
    const late = new Refusal(failure(504, `no complete answer within ${seconds} s`, "timeout"), {
      "x-should-retry": "false",
    });
    this.#timer = setTimeout(() => this.end(late), Math.min(seconds * 1000, LONGEST_MS));
    client.addEventListener("abort", this.leave, { once: true });
    if (client.aborted) this.leave();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The client has disconnected. */
  readonly leave = (): void => this.end(LEFT);

  end(reason: Refusal): void {
    this.#controller.abort(reason);
  }

  /** The request has ended by itself. */
  clear(): void {
    clearTimeout(this.#timer);
  }
}
