import { type ApiError, type ApiErrorBody, failure } from "../openai/api-error.js";
import { type Asked, type Backend, type Ended, LostError, type Reply } from "./backend.js";
import { apiOf, errorEventText, WholeEvents } from "./event-stream.js";
import type { Queue } from "./queue.js";
import { Refusal } from "./refusal.js";

/** Runs of one request. A second loss is its own doing, since it runs alone then. */
const MOST_RUNS = 2;
/** Clients would send the request again. */
const NO_RETRY = { "x-should-retry": "false" };

/** A reply that is complete, or one of events. */
export type Relayed = (Omit<Reply, "body"> & { readonly bytes: Buffer }) | Reply;

export function isEvents(reply: Relayed): reply is Reply {
  return "body" in reply;
}

export interface RelayEvents {
  /** The request got a slot. */
  begun(): void;
  /** A run of it has ended. */
  ended(ended: Ended): void;
}

/**
 * The way of one request to the model: it waits for a slot, and runs once more from the start if the model's process is lost before
 * anything of the answer was sent.
 */
export class Relay {
  /** The end of the latest run. */
  ended: Promise<Ended | undefined> = Promise.resolve(undefined);
  #runs = 0;

  constructor(
    private readonly queue: Queue,
    private readonly backend: Backend,
    private readonly asked: Asked,
    private readonly signal: AbortSignal,
    private readonly events: RelayEvents,
  ) {}

  /** Throws the signal's reason, Refusal, and what the backend throws. */
  async begin(): Promise<Relayed> {
    for (;;) {
      const leave = await this.queue.enter(this.signal, this.#runs > 0, this.asked.priority);
      this.#runs++;
      this.events.begun();
      const { reply, ended } = this.backend.ask(this.asked, this.signal);
      this.ended = ended;
      ended.then((end) => {
        leave();
        this.events.ended(end);
      });
      try {
        const { body, ...head } = await reply;
        if (head.contentType.startsWith("text/event-stream")) return { ...head, body };
        const pieces: Uint8Array[] = [];
        for await (const piece of body) pieces.push(piece);
        return { ...head, bytes: Buffer.concat(pieces) };
      } catch (error) {
        if (!(error instanceof LostError) || this.signal.aborted) throw error;
        if (this.#runs === MOST_RUNS) throw new Refusal(endedTwice(error), NO_RETRY);
      }
    }
  }

  /** The events of a reply, whole; an error is the last, which `failed` gets too. `describe` turns what was thrown into a response. */
  async *stream(
    reply: Reply,
    describe: (error: unknown) => ApiError,
    failed: (error: ApiError) => void,
  ): AsyncGenerator<Uint8Array, void, void> {
    const whole = new WholeEvents();
    const last = (error: ApiError): Uint8Array => {
      failed(error);
      return Buffer.from(errorEventText(error, apiOf(this.asked.path), whole.sent));
    };
    let now = reply;
    for (;;) {
      try {
        for await (const piece of now.body) {
          const events = whole.add(piece);
          if (events.length > 0) yield events;
        }
        return;
      } catch (error) {
        if (!(error instanceof LostError) || this.signal.aborted) return yield last(describe(error));
        if (whole.sent > 0) return yield last(endedMidway(error));
        if (this.#runs === MOST_RUNS) return yield last(endedTwice(error));
      }
      // Nothing but keep-alive comments was sent.
      whole.restart();
      const again: Relayed | ApiError = await this.begin().catch(describe);
      if (!("contentType" in again)) return yield last(again);
      if (!isEvents(again))
        return yield last({ status: again.status, body: JSON.parse(again.bytes.toString()) as ApiErrorBody });
      now = again;
    }
  }
}

function endedTwice({ message }: LostError): ApiError {
  return failure(500, `the model's process ended twice while it answered this request: ${message}`, "model_lost");
}

function endedMidway({ message }: LostError): ApiError {
  return failure(503, `the model's process ended while it answered: ${message}; send the request again`, "model_lost");
}
