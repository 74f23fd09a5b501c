import { afterAll, beforeAll, expect, test } from "vitest";
import { Answer } from "../../src/models/answer.js";
import type { ChatModel, ChatSession } from "../../src/models/chat-model.js";
import { AbortedError } from "../../src/runtime/errors.js";
import { isPublicAddress, remoteMedia } from "../../src/server/remote-media.js";
import { type RunningServer, startServer } from "../../src/server/server.js";

// What the server does beside answering, with a model that answers only when it is aborted.

const idleSession = {
  generate: (_: unknown, { signal }: { signal: AbortSignal }) =>
    new Answer(
      () =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new AbortedError("generating", signal.reason)));
        }),
      () => {},
    ),
  dispose: () => {},
};
const model = { createSession: () => idleSession as unknown as ChatSession } as unknown as ChatModel;
let server: RunningServer;

beforeAll(async () => {
  server = await startServer(async () => ({ model, name: "idle" }), {
    host: "127.0.0.1",
    port: 0,
    parallel: 1,
    queue: 1,
    timeoutSeconds: 1,
    maxBodyBytes: 1000,
    apiKey: "secret",
    remoteMedia: true,
    gpuBytes: () => 7,
    log: (error) => console.error(error),
  });
});
afterAll(() => server?.close(0));

function ask(key: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }] }),
    ...(signal && { signal }),
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("one is answered, one waits, the third is refused; a disconnect and the time limit free the slots", async () => {
  const left = new AbortController();
  const first = ask("secret", left.signal).catch((error: Error) => error.name);
  await until(() => server.app.queue.active === 1);
  const second = ask("secret");
  await until(() => server.app.queue.length === 1);
  const third = await ask("secret");
  expect([third.status, third.headers.get("retry-after")]).toEqual([429, "1"]);
  expect(await third.json()).toMatchObject({ error: { code: "queue_full", type: "rate_limit_error" } });
  left.abort();
  expect(await first).toBe("AbortError");
  await until(() => server.app.queue.length === 0);
  expect(server.app.queue.active).toBe(1);
  const late = await second;
  expect([late.status, late.headers.get("x-should-retry")]).toEqual([504, "false"]);
  await until(() => server.app.queue.active === 0);
});

test("a wrong key is refused, health and metrics are open", async () => {
  expect((await ask("wrong")).status).toBe(401);
  expect((await fetch(`${server.url}/v1/models`)).status).toBe(401);
  expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: "ready" });
  expect(await (await fetch(`${server.url}/metrics`)).text()).toContain("ocellus_gpu_bytes 7");
  expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
});

test("pictures come from public addresses only", async () => {
  const inside = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1"];
  const wrapped = [
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fd00::1",
    "not an address",
  ];
  for (const address of [...inside, ...wrapped]) expect(isPublicAddress(address), address).toBe(false);
  for (const address of ["8.8.8.8", "2606:4700::1111"]) expect(isPublicAddress(address), address).toBe(true);
  const options = { param: "url", signal: new AbortController().signal };
  const read = remoteMedia();
  for (const url of [
    "http://127.0.0.1:1/a",
    "http://localhost/a",
    "http://[::1]/a",
    "http://2130706433/",
    "file:///a",
    "a.png",
  ]) {
    await expect(read(url, options), url).rejects.toThrow(/not public|http or https/);
  }
  const open = remoteMedia(() => true);
  expect(new TextDecoder().decode(await open(`${server.url}/health`, options))).toContain("ready");
  await expect(open(`${server.url}/nothing`, options)).rejects.toThrow("HTTP 404");
});
