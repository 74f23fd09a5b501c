import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { events, loadTarget, measureLoad } from "../../src/bench/load.js";

/** A server that streams five pieces an answer, a few ms apart, and counts the requests that it has at once. */
let server: Server;
let url: string;
let [running, most] = [0, 0];
let bodies: { messages: unknown; max_tokens: number }[] = [];
let refuse = (_request: IncomingMessage): number | undefined => undefined;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function reply(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const status = refuse(request);
  if (status) return void response.writeHead(status).end('{"error":{"message":"no"}}');
  if (request.url === "/v1/models") return void response.end('{"data":[{"id":"tiny"}]}');
  let text = "";
  for await (const piece of request) text += piece;
  bodies.push(JSON.parse(text));
  most = Math.max(most, ++running);
  const say = (data: object): boolean => response.write(`data: ${JSON.stringify(data)}\n\n`);
  say({ choices: [{ delta: { role: "assistant", content: "" } }] });
  for (let i = 0; i < 5; i++) {
    await sleep(4);
    say({ choices: [{ delta: { content: "x" } }] });
  }
  say({ choices: [], usage: { completion_tokens: 5, prompt_tokens: 10, prompt_tokens_details: { cached_tokens: 4 } } });
  running--;
  response.end("data: [DONE]\n\n");
}

beforeAll(async () => {
  server = createServer((request, response) => void reply(request, response)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.closeAllConnections());
beforeEach(() => {
  [running, most] = [0, 0];
  bodies = [];
  refuse = () => undefined;
});

const plan = { prompt: "text", prefix: "distinct", tokens: 5, seconds: 0.2, first: 0 } as const;

test("clients send their next request when they have the answer, and everything is counted", async () => {
  const target = await loadTarget(`${url}/`);
  expect(target).toMatchObject({ url: `${url}/v1`, model: "tiny" });
  const measured = await measureLoad(target, { ...plan, clients: 3 });
  expect(most).toBe(3);
  expect(measured).toMatchObject({ prompt: "text", prefix: "distinct", clients: 3, failed: 0, cachedShare: 0.4 });
  expect(measured.answers).toBeGreaterThanOrEqual(3);
  // Answers that were running at the end count as far as they came.
  expect(measured.tokens).toBeGreaterThanOrEqual(5 * measured.answers);
  expect(measured.tokens).toBeLessThan(5 * measured.answers + 15);
  expect(measured.tokensPerSecond).toBeCloseTo(measured.tokens / measured.seconds);
  expect(measured.firstTokenMs!.p50).toBeGreaterThanOrEqual(3);
  expect(measured.firstTokenMs!.p99).toBeGreaterThanOrEqual(measured.firstTokenMs!.p50);
  expect(measured.betweenTokensMs!.p50).toBeGreaterThan(0);
  // The warm-up, then different requests.
  expect(bodies.slice(0, 3).map(({ max_tokens }) => max_tokens)).toEqual([4, 4, 4]);
  expect(new Set(bodies.map(({ messages }) => JSON.stringify(messages))).size).toBe(bodies.length);
});

test("a measurement lasts until every client had an answer", async () => {
  const measured = await measureLoad(await loadTarget(url), { ...plan, seconds: 0.001, clients: 2 });
  expect(measured.answers).toBeGreaterThanOrEqual(2);
});

test("requests that fail are counted; if all do, the reason is thrown", async () => {
  const target = await loadTarget(url);
  let count = 0;
  refuse = () => (count++ % 3 === 2 ? 429 : undefined);
  expect((await measureLoad(target, { ...plan, clients: 2 })).failed).toBeGreaterThan(0);
  refuse = () => 500;
  await expect(measureLoad(target, { ...plan, clients: 2 })).rejects.toThrow(
    `${url}/v1: expected answers, got status 500: {"error":{"message":"no"}}`,
  );
});

test("an abort ends it", async () => {
  const measuring = measureLoad(await loadTarget(url), { ...plan, seconds: 60, clients: 1 }, AbortSignal.timeout(50));
  await expect(measuring).rejects.toMatchObject({ code: "ABORTED" });
});

test("what is no server is an error, with the key's variable; the key is sent", async () => {
  refuse = ({ headers }) => (headers.authorization === "Bearer secret" ? undefined : 401);
  await expect(loadTarget(url)).rejects.toThrow(/got status 401 — check .*OCELLUS_API_KEY/);
  expect(await loadTarget(url, "secret")).toMatchObject({ apiKey: "secret" });
  await expect(loadTarget("http://127.0.0.1:1")).rejects.toThrow("http://127.0.0.1:1/v1: expected a server with");
});

test("events are read across pieces of the stream", async () => {
  async function* pieces() {
    for (const text of ['data: {"choi', 'ces":[]}\r\n\r\nda', "ta: [DONE]\n\ndata: {}\n"])
      yield new TextEncoder().encode(text);
  }
  const found = [];
  for await (const event of events(pieces())) found.push(event);
  expect(found).toEqual([{ choices: [] }, {}]);
});
