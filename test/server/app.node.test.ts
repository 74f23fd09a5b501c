import { afterEach, expect, test } from "vitest";
import { DeviceLostError } from "../../src/base/errors.js";
import { Answer, type AnswerResult } from "../../src/models/chat/answer.js";
import type { ChatModel, ChatSession } from "../../src/models/chat/chat-model.js";
import type { ApiErrorBody } from "../../src/openai/api-error.js";
import type { RunningServer } from "../../src/server/server.js";
import { type HereOptions, serveHere } from "../support/server-here.js";

// Ids, logs, keys, rates and probes, over a session that is written here.

const RESULT = {
  text: "Tree",
  finishReason: "stop",
  usage: { promptTokens: 5, reusedTokens: 0, completionTokens: 3, draftedTokens: 0, acceptedTokens: 0, totalTokens: 8 },
  timings: { preprocess: 0, vision: 0, prefill: 0, decode: 0, total: 0 },
} as unknown as AnswerResult;

let server: RunningServer | undefined;
let lines: string[] = [];
afterEach(async () => {
  await server?.close(0);
  lines = [];
});

async function start(options: HereOptions = {}, generate = async () => RESULT): Promise<void> {
  const session = {
    generate: () => Answer.start(generate, () => {}),
    reset: () => {},
    dispose: () => {},
  } as unknown as ChatSession;
  const model = { createSession: () => session } as unknown as ChatModel;
  server = await serveHere(async () => ({ model, name: "tiny" }), { lines, ...options });
}

function ask(headers: Record<string, string> = {}, fields: object = {}): Promise<Response> {
  return fetch(`${server!.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ messages: [{ role: "user", content: "Xylophon" }], ...fields }),
  });
}

/** The lines of requests, when there are `count`. */
async function requests(count: number): Promise<Record<string, unknown>[]> {
  for (;;) {
    const logged = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === "request");
    if (logged.length >= count) return logged;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("every response has an id: the client's, if it is plain", async () => {
  await start();
  expect((await ask({ "x-request-id": "trace-1" })).headers.get("x-request-id")).toBe("trace-1");
  const made = /^req_[\da-f]{32}$/;
  expect((await ask({ "x-request-id": "a b" })).headers.get("x-request-id")).toMatch(made);
  for (const path of ["/health", "/nothing", "/v1/models", "/metrics"]) {
    expect((await fetch(`${server!.url}${path}`)).headers.get("x-request-id"), path).toMatch(made);
  }
  const stream = await ask({ "x-request-id": "trace-2" }, { stream: true });
  expect(stream.headers.get("x-request-id")).toBe("trace-2");
  await stream.text();
});

test("a priority that is none is refused", async () => {
  await start();
  expect((await ask({ "x-priority": "high" })).status).toBe(200);
  const refused = await ask({ "x-priority": "urgent" });
  expect(refused.status).toBe(400);
  expect(((await refused.json()) as ApiErrorBody).error.message).toContain("expected high, normal, low");
});

test("one line per request, without what it says", async () => {
  await start();
  await (await ask({ "x-request-id": "whole" })).text();
  await (await ask({ "x-request-id": "stream" }, { stream: true })).text();
  await ask({ "x-request-id": "refused" }, { Xylophon: 1 });
  await fetch(`${server!.url}/v1/models/Xylophon`);
  await fetch(`${server!.url}/Xylophon?Xylophon`, { headers: { "x-request-id": "Nothing" } });
  await fetch(`${server!.url}/health`);
  const logged = await requests(5);
  const line = (id: string) => logged.find((entry) => entry.id === id);
  const route = "/v1/chat/completions";
  const answered = { level: "info", method: "POST", route, status: 200, prompt_tokens: 5, completion_tokens: 3 };
  expect(line("whole")).toMatchObject({ ...answered, address: "127.0.0.1", seconds: expect.any(Number) });
  expect(line("stream")).toMatchObject(answered);
  expect(line("refused")).toMatchObject({ status: 400, error: "unknown_parameter", route });
  expect(line("Nothing")).toMatchObject({ status: 404, route: "other" });
  expect(logged).toHaveLength(5);
  expect(lines.join("")).not.toContain("Xylophon");
});

test("a request that loses the device twice is logged with its error", async () => {
  await start({}, () => Promise.reject(new DeviceLostError({ where: "a", expected: "b", got: "c", remedy: "d" })));
  expect((await ask({}, { stream: true })).status).toBe(500);
  expect(await requests(1)).toMatchObject([{ level: "warning", status: 500, error: "model_lost" }]);
});

test("each key has its rate and its name in the log", async () => {
  const apiKeys = ["alice", "bob"].map((name) => ({ name, key: `key of ${name}` }));
  await start({ apiKeys, rateLimit: 2 });
  const as = (name: string): Promise<Response> => ask({ authorization: `Bearer key of ${name}` });
  const [first, second, third] = [await as("alice"), await as("alice"), await as("alice")];
  expect([first.status, second.status, third.status, (await as("bob")).status]).toEqual([200, 200, 429, 200]);
  expect(first.headers.get("x-ratelimit-limit-requests")).toBe("2");
  expect(second.headers.get("x-ratelimit-remaining-requests")).toBe("0");
  expect(Number(third.headers.get("retry-after"))).toBeGreaterThan(20);
  expect(((await third.json()) as ApiErrorBody).error).toMatchObject({
    code: "rate_limit_exceeded",
    type: "rate_limit_error",
  });
  // Strangers cost no one's rate.
  expect((await as("eve")).status).toBe(401);
  const logged = await requests(5);
  expect(logged.map(({ key }) => key)).toEqual(["alice", "alice", "alice", "bob", undefined]);
  expect(lines.join("")).not.toContain("key of");
});

test("without keys an address has a rate, and other routes have none", async () => {
  await start({ rateLimit: 1 });
  expect([(await ask()).status, (await ask()).status]).toEqual([200, 429]);
  for (let i = 0; i < 3; i++) expect((await fetch(`${server!.url}/v1/models`)).status).toBe(200);
});

test("liveness, readiness and startup are told apart", async () => {
  const probe = async (path: string): Promise<number> => (await fetch(`${server!.url}${path}`)).status;
  const all = (): Promise<number[]> => Promise.all(["/livez", "/startupz", "/readyz", "/health"].map(probe));
  await start();
  expect(await all()).toEqual([200, 200, 200, 200]);
  server!.app.lost("a test");
  expect(await all()).toEqual([200, 200, 503, 503]);
  const reply = await ask();
  expect([reply.status, reply.headers.get("retry-after")]).toEqual([503, "1"]);
  server!.app.ready({ pid: 1, seconds: 4, adapter: "here" });
  expect((await ask()).status).toBe(200);
  server!.app.lost("a test");
  // As long as it took before.
  expect((await fetch(`${server!.url}/readyz`)).headers.get("retry-after")).toBe("4");
  server!.app.ready({ pid: 1, seconds: 4, adapter: "here" });
  server!.app.refuse("the server is stopping");
  expect(await all()).toEqual([200, 200, 503, 503]);
});

test("pages of an allowed origin may read ids and rates", async () => {
  await start({ cors: "https://page.example", rateLimit: 5 });
  const exposed = (await ask({ origin: "https://page.example" })).headers.get("access-control-expose-headers");
  expect(exposed).toContain("x-request-id");
  expect(exposed).toContain("x-ratelimit-remaining-requests");
});
