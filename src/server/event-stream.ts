/** Keep-alive interval; proxies and clients close idle connections after a minute. */
const KEEP_ALIVE_MS = 10_000;

/**
 * Streams objects as server-sent events, with `[DONE]` at the end and keep-alive comments. An error becomes an event, since the status
 * line is already sent. `left` is called when the client disconnects.
 */
export function eventStream(
  events: AsyncIterable<unknown>,
  errorEvent: (error: unknown) => unknown,
  left: () => void,
): Response {
  const encoder = new TextEncoder();
  const iterator = events[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<unknown>> | undefined;
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
        if (!came.done) return say(`data: ${JSON.stringify(came.value)}\n\n`);
        say("data: [DONE]\n\n");
        controller.close();
      } catch (error) {
        say(`data: ${JSON.stringify(errorEvent(error))}\n\n`);
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
