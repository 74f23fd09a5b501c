/** Keep-alive interval; proxies and clients close idle connections after a minute. */
const KEEP_ALIVE_MS = 10_000;

/**
 * Streams objects as server-sent events, with keep-alive comments: named by their `type` as in the Responses API, or without names and
 * with `[DONE]` at the end as in chat completions. An error becomes an event, since the status line is already sent. `left` is called
 * when the client disconnects. `errorEvent` gets the number of events before.
 */
export function eventStream(
  events: AsyncIterable<unknown>,
  errorEvent: (error: unknown, sent: number) => unknown,
  left: () => void,
  named = false,
): Response {
  const encoder = new TextEncoder();
  const iterator = events[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<unknown>> | undefined;
  let sent = 0;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const say = (text: string): void => controller.enqueue(encoder.encode(text));
      const tell = (event: unknown): void => {
        sent++;
        say(`${named ? `event: ${(event as { type: string }).type}\n` : ""}data: ${JSON.stringify(event)}\n\n`);
      };
      let timer: ReturnType<typeof setTimeout> | undefined;
      try {
        next ??= iterator.next();
        const silence = new Promise<"silence">((resolve) => {
          timer = setTimeout(() => resolve("silence"), KEEP_ALIVE_MS);
        });
        const came = await Promise.race([next, silence]);
        if (came === "silence") return say(": working\n\n");
        next = undefined;
        if (!came.done) return tell(came.value);
        if (!named) say("data: [DONE]\n\n");
        controller.close();
      } catch (error) {
        tell(errorEvent(error, sent));
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
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    },
  });
}
