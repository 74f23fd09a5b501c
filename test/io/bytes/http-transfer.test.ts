import { expect, test } from "vitest";
import { urlSource } from "../../../src/io/bytes/source.js";
import { RangeServer } from "../../support/range-server.js";
import { BYTES, expectSlice, URL } from "../../support/served-bytes.js";

test("an interrupted transfer resumes after the last received byte", async () => {
  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, server.options);
  // More cuts than a read has attempts: every one that brought bytes starts the count again.
  server.cutAfterBytes = [3000, 3000, 3000, 3000, 3000, 3000];
  await expectSlice(source, 66_000, 20_000);
  expect(server.requests.slice(1).map((request) => request.range)).toEqual([
    "bytes=66000-85999",
    "bytes=69000-85999",
    "bytes=72000-85999",
    "bytes=75000-85999",
    "bytes=78000-85999",
    "bytes=81000-85999",
    "bytes=84000-85999",
  ]);
});

test("a transfer that never brings its bytes is given up as truncated", async () => {
  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, server.options);
  server.cutAfterBytes = Array(20).fill(0);
  await expect(source.read(70_000, 10)).rejects.toThrow("truncated");
  expect(server.requests).toHaveLength(5);
});

test("a whole download that stops early is fetched again", async () => {
  const server = new RangeServer(BYTES, { ranges: false });
  server.cutAfterBytes = [1000];
  await expectSlice(await urlSource(URL, server.options), 150_000, 10);
  expect(server.requests).toHaveLength(2);
});

/** A server whose first `silent` responses never come, or stop after their first byte. */
function silentServer(silent: number, how: "headers" | "body") {
  const signals: (AbortSignal | null | undefined)[] = [];
  const fetch: typeof globalThis.fetch = (_, init) => {
    signals.push(init?.signal);
    const [, first = 0, last = 0] = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get("range") ?? "") ?? [];
    const bytes = BYTES.slice(Number(first), Number(last) + 1);
    const headers = { "content-range": `bytes ${first}-${Number(first) + bytes.length - 1}/${BYTES.length}` };
    const isSilent = signals.length <= silent;
    if (isSilent && how === "headers") return new Promise(() => {});
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(isSilent ? bytes.subarray(0, 1) : bytes);
        if (!isSilent) controller.close();
      },
    });
    return Promise.resolve(new Response(body, { status: 206, headers }));
  };
  return { signals, options: { fetch, retryDelayMilliseconds: 0, idleMilliseconds: 20 } };
}

test.each(["headers", "body"] as const)("a server that falls silent before its %s end is asked again", async (how) => {
  const { options, signals } = silentServer(2, how);
  await expectSlice(await urlSource(URL, options), 100, 10);
  expect(signals.length).toBeGreaterThanOrEqual(3);
  if (how === "headers") expect(signals[0]!.aborted).toBe(true);
});

test("a server that stays silent is an error that says so", async () => {
  const { options, signals } = silentServer(100, "headers");
  await expect(urlSource(URL, options)).rejects.toThrow(/expected a response, got no response in 0.02 seconds/);
  expect(signals).toHaveLength(4);
  // The caller's abort still ends the wait.
  const controller = new AbortController();
  const waiting = urlSource(URL, {
    ...options,
    fetch: abortable(options.fetch),
    signal: controller.signal,
    idleMilliseconds: 60_000,
  });
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: "ABORTED" });
});

/** Rejects on the signal, as the platform's fetch does. */
function abortable(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return (input, init) =>
    Promise.race([
      fetch(input, init),
      new Promise<never>((_, reject) => {
        const { signal } = init!;
        if (signal!.aborted) reject(signal!.reason);
        signal!.addEventListener("abort", () => reject(signal!.reason));
      }),
    ]);
}
