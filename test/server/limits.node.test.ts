import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AbortedError } from "../../src/base/errors.js";
import { Answer } from "../../src/models/chat/answer.js";
import type { ChatModel, ChatSession } from "../../src/models/chat/chat-model.js";
import type { ApiErrorBody } from "../../src/openai/api-error.js";
import { isPublicAddress, remoteMedia } from "../../src/server/remote-media.js";
import type { RunningServer } from "../../src/server/server.js";
import { type HereOptions, serveHere } from "../support/server-here.js";

// What the server does beside answering, with a model that answers only when it is aborted.

const idleSession = {
  generate: (_: unknown, { signal }: { signal: AbortSignal }) =>
    Answer.start(
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

function start(options: HereOptions = {}): Promise<RunningServer> {
  return serveHere(async () => ({ model, name: "idle" }), {
    name: "idle",
    parallel: 1,
    queue: 1,
    timeoutSeconds: 1,
    maxBodyBytes: 1000,
    apiKeys: [{ name: "one", key: "secret" }],
    readMedia: remoteMedia(),
    gpuBytes: 7,
    ...options,
  });
}

beforeAll(async () => {
  server = await start();
});
afterAll(() => server?.close(0));

function ask(key: string, signal?: AbortSignal, url = server.url): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
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

test("a wrong key is refused, also for metrics; health is open", async () => {
  expect((await ask("wrong")).status).toBe(401);
  expect((await fetch(`${server.url}/v1/models`)).status).toBe(401);
  expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: "ready" });
  expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
  const headers = { authorization: "Bearer secret" };
  const metrics = await (await fetch(`${server.url}/metrics`, { headers })).text();
  for (const line of ["gpu_bytes 7", "kv_blocks 3", "shared_kv_blocks 2", "preemptions 1"])
    expect(metrics).toContain(`ocellus_${line}\n`);
  expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
});

test("pages ask only where they may", async () => {
  const page = "https://page.example";
  const preflight = (url: string, origin: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
    });
  const refused = await preflight(server.url, page);
  expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([403, null]);
  const { error } = (await refused.json()) as ApiErrorBody;
  expect(error.message).toBe(`expected no request of a page, got one of ${page}; \`--cors\` allows it`);
  // As a page would whose name was made to mean this machine.
  expect((await fetch(`${server.url}/health`, { headers: { origin: "http://rebound.example" } })).status).toBe(403);
  for (const cors of [page, "*"]) {
    const open = await start({ cors });
    try {
      const allowed = await preflight(open.url, page);
      expect(allowed.status).toBe(204);
      expect(allowed.headers.get("access-control-allow-origin")).toBe(cors);
      expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
      const models = await fetch(`${open.url}/v1/models`, {
        headers: { origin: page, authorization: "Bearer secret" },
      });
      expect([models.status, models.headers.get("access-control-allow-origin")]).toEqual([200, cors]);
      const stranger = await preflight(open.url, "https://other.example");
      expect(stranger.status).toBe(cors === "*" ? 204 : 403);
    } finally {
      await open.close(0);
    }
  }
});

test("a stopping server rejects new requests and aborts running ones after the grace period", async () => {
  const stopping = await start({ timeoutSeconds: 100 });
  const running = ask("secret", undefined, stopping.url);
  await until(() => stopping.app.queue.active === 1);
  const waiting = ask("secret", undefined, stopping.url);
  await until(() => stopping.app.queue.length === 1);
  const closed = stopping.close(0.2);
  await expect(ask("secret", undefined, stopping.url)).rejects.toThrow("fetch failed");
  for (const ended of await Promise.all([running, waiting])) {
    expect(ended.status).toBe(503);
    expect(await ended.json()).toMatchObject({ error: { message: "the server is stopping" } });
  }
  await closed;
  expect([stopping.app.queue.active, stopping.app.queue.length]).toEqual([0, 0]);
});

test("redirects are followed, but not to where a client may not point", async () => {
  let asked: string[] = [];
  const files = createServer(({ url = "" }, response) => {
    asked.push(url);
    const places: Record<string, string> = { "/once": "/file", "/inside": "http://[::1]/file", "/round": "/round" };
    if (url === "/file") response.end("bytes");
    else response.writeHead(302, { location: places[url] ?? "file:///etc/passwd" }).end();
  });
  await new Promise<void>((resolve) => files.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = files.address() as AddressInfo;
    const read = remoteMedia((address) => address === "127.0.0.1");
    const options = { param: "url", signal: new AbortController().signal };
    const get = (path: string) => read(`http://127.0.0.1:${port}${path}`, options);
    expect(new TextDecoder().decode(await get("/once"))).toBe("bytes");
    expect(asked).toEqual(["/once", "/file"]);
    await expect(get("/inside")).rejects.toThrow("not public");
    await expect(get("/elsewhere")).rejects.toThrow("http or https");
    asked = [];
    await expect(get("/round")).rejects.toThrow("redirects");
    expect(asked.length).toBeLessThan(10);
  } finally {
    files.close();
  }
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
