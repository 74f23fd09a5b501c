import type { ApiError } from "../openai/api-error.js";

/** Keep-alive interval; proxies and clients close idle connections after a minute. */
const KEEP_ALIVE_MS = 10_000;
/** Headers of server-sent events. */
export const EVENT_STREAM: Readonly<Record<string, string>> = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
};

/** The API of a stream: events of the Responses API are named by their `type`, chat completions end with `[DONE]`. */
export type Api = "chat" | "responses";

export function apiOf(path: string): Api {
  return path === "/v1/responses" ? "responses" : "chat";
}

/** An event as it is sent. */
export function eventText(event: unknown, api: Api): string {
  const name = api === "responses" ? `event: ${(event as { type: string }).type}\n` : "";
  return `${name}data: ${JSON.stringify(event)}\n\n`;
}

/** The event of an error after `sent` events: the status line has been sent before. */
export function errorEventText({ body }: ApiError, api: Api, sent: number): string {
  return eventText(api === "chat" ? body : { type: "error", sequence_number: sent, ...body }, api);
}

/**
 * Streams objects as server-sent events, with keep-alive comments. An error becomes an event by `describe`, unless that never resolves.
 * `left` is called when the reader disconnects.
 */
export function eventStream(
  events: AsyncIterable<unknown>,
  api: Api,
  describe: (error: unknown) => Promise<ApiError>,
  left: () => void,
): Response {
  const encoder = new TextEncoder();
  const iterator = events[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<unknown>> | undefined;
  let sent = 0;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const say = (text: string): void => controller.enqueue(encoder.encode(text));
      let timer: ReturnType<typeof setTimeout> | undefined;
      try {
        next ??= iterator.next();
        const silence = new Promise<"silence">((resolve) => {
          timer = setTimeout(() => resolve("silence"), KEEP_ALIVE_MS);
        });
        const came = await Promise.race([next, silence]);
        if (came === "silence") return say(": working\n\n");
        next = undefined;
        if (!came.done) {
          sent++;
          return say(eventText(came.value, api));
        }
        if (api === "chat") say("data: [DONE]\n\n");
        controller.close();
      } catch (error) {
        say(errorEventText(await describe(error), api, sent));
        controller.close();
      } finally {
        clearTimeout(timer);
      }
    },
    cancel() {
      left();
      next?.catch(() => {});
    },
  });
  return new Response(stream, { headers: EVENT_STREAM });
}

/** Passes server-sent events on whole, and counts them: an event of an error never follows half of another. */
export class WholeEvents {
  /** Events so far, without comments. */
  sent = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** Drops half an event: others follow, from another source. */
  restart(): void {
    this.#rest = Buffer.alloc(0);
  }

  /** Returns the events that are complete with this piece; empty if none is. */
  add(piece: Uint8Array): Buffer {
    const all = this.#rest.length > 0 ? Buffer.concat([this.#rest, piece]) : Buffer.from(piece);
    const end = all.lastIndexOf("\n\n") + 2;
    // lastIndexOf is -1 without one.
    if (end < 2) {
      this.#rest = all;
      return Buffer.alloc(0);
    }
    this.#rest = all.subarray(end);
    const whole = all.subarray(0, end);
    for (const event of whole.toString("latin1").split("\n\n")) if (event !== "" && !event.startsWith(":")) this.sent++;
    return whole;
  }
}
