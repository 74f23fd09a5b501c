import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ApiErrorBody } from "../../src/openai/api-error.js";
import { Log } from "../../src/server/log.js";
import { type RunningServer, type ServerOptions, startServer } from "../../src/server/server.js";
import { LoadFailure, Supervisor, type SupervisorOptions } from "../../src/server/supervisor.js";

// The model's process ends, blocks and loses its device; test/support/fake-model.mjs does what messages say.

const ENTRY = new URL("../support/fake-model.mjs", import.meta.url);
let folder: string;
let server: RunningServer | undefined;
let lines: string[];
let failure: Error | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "supervisor-"));
  lines = [];
  failure = undefined;
});
afterEach(async () => {
  await server?.close(0);
  server = undefined;
  rmSync(folder, { recursive: true });
});

async function start(options: Partial<SupervisorOptions & ServerOptions> = {}): Promise<RunningServer> {
  const supervisor = new Supervisor({
    entry: ENTRY,
    parallel: 2,
    maxPixels: undefined,
    remoteMedia: false,
    settings: {},
    restarts: 2,
    noticeMs: 300,
    ...options,
  });
  server = await startServer(supervisor, {
    name: "fake",
    host: "127.0.0.1",
    port: 0,
    parallel: 2,
    queue: 100,
    timeoutSeconds: 60,
    maxBodyBytes: 2 ** 20,
    log: new Log("json", (line) => lines.push(line)),
    onFailed: (error) => {
      failure = error;
    },
    ...options,
  });
  return server;
}

function ask(content: string, fields: object = {}, path = "/v1/chat/completions", headers = {}): Promise<Response> {
  const messages = [{ role: "user", content }];
  return fetch(`${server!.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ ...(path === "/v1/chat/completions" ? { messages } : { input: content }), ...fields }),
  });
}

test("the model's process leaves the processor to the server's", async () => {
  await start();
  const { pid } = JSON.parse(lines.find((line) => line.includes("model_ready"))!) as { pid: number };
  expect(getPriority(pid)).toBeGreaterThan(getPriority());
});

async function textOf(response: Response): Promise<string> {
  expect(response.status).toBe(200);
  return ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
}

/** Kills the process on its first runs of a request. */
function deadly(name: string, times = 1): string {
  return `{die ${join(folder, name)} ${times}}`;
}

const health = (path = "/health"): Promise<Response> => fetch(`${server!.url}${path}`);

async function ready(): Promise<void> {
  while ((await health()).status !== 200) await new Promise((resolve) => setTimeout(resolve, 10));
}

interface Line {
  readonly event: string;
  readonly [name: string]: unknown;
}
const events = (event: string): Line[] =>
  lines.map((line) => JSON.parse(line) as Line).filter((line) => line.event === event);

test("requests are answered by the process, and reports reach the metrics", async () => {
  await start();
  expect(await textOf(await ask("one two"))).toBe("one two ");
  const metrics = await (await health("/metrics")).text();
  expect(metrics).toMatch(/ocellus_gpu_bytes 7\n/);
  expect(metrics).toMatch(/ocellus_completion_tokens_total 2\n/);
  expect(metrics).toMatch(/ocellus_ready 1\n/);
  const stream = await (await ask("one two", { stream: true })).text();
  expect(stream).toMatch(/one .*two .*"finish_reason":"stop".*\[DONE\]/s);
});

test("a process that dies is started again, and what it was answering runs once more", async () => {
  await start();
  const texts = await Promise.all([
    ask(`one ${deadly("a")} two`).then(textOf),
    ...Array.from({ length: 12 }, (_, i) => ask(`I am ${i}`).then(textOf)),
  ]);
  expect(texts).toEqual(["one two ", ...Array.from({ length: 12 }, (_, i) => `I am ${i} `)]);
  expect(await (await health("/metrics")).text()).toMatch(/ocellus_model_losses_total 1\n/);
  expect(events("model_lost")).toMatchObject([{ level: "error", reason: "it was ended by SIGKILL" }]);
  expect(events("model_ready")).toHaveLength(2);
});

test("a request that ends the process twice is refused, and not the one beside it", async () => {
  await start();
  const [bad, good] = await Promise.all([
    ask(`one ${deadly("a", 9)} two`),
    ask(Array.from({ length: 30 }, (_, i) => `w${i}`).join(" ")),
  ]);
  expect([bad.status, bad.headers.get("x-should-retry")]).toEqual([500, "false"]);
  expect(((await bad.json()) as ApiErrorBody).error).toMatchObject({ code: "model_lost", type: "server_error" });
  expect(await textOf(good)).toMatch(/^w0 .* w29 $/);
  expect(failure).toBeUndefined();
});

test("an answer of which something was sent ends with an event of the error", async () => {
  await start();
  const chat = await (await ask(`one ${deadly("a")} two`, { stream: true })).text();
  const events = chat.split("\n\n").filter((event) => event !== "");
  const last = JSON.parse(events.at(-1)!.slice("data: ".length)) as ApiErrorBody;
  expect([chat.includes("one "), chat.includes("two")]).toEqual([true, false]);
  expect(last.error).toMatchObject({ code: "model_lost", type: "server_error" });
  await ready();
  const response = await (await ask(`one ${deadly("b")} two`, { stream: true }, "/v1/responses")).text();
  const named = response.split("\n\n").filter((event) => event !== "");
  expect(named.at(-1)).toMatch(/^event: error\n/);
  expect(JSON.parse(named.at(-1)!.split("\ndata: ")[1]!)).toMatchObject({
    type: "error",
    sequence_number: named.length - 1,
    error: { code: "model_lost" },
  });
});

test("a lost device makes the server unready at once, and the model is loaded again", async () => {
  await start({ settings: { slowMs: 200 } });
  const asked = ask("{lose} one two");
  while (events("model_lost").length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const unready = await health();
  expect([unready.status, Number(unready.headers.get("retry-after")) >= 1]).toEqual([503, true]);
  expect([(await health("/livez")).status, (await health("/readyz")).status]).toEqual([200, 503]);
  expect((await health("/startupz")).status).toBe(200);
  // New requests are refused, those that were accepted are not.
  const refused = await ask("one");
  expect([refused.status, refused.headers.has("retry-after")]).toEqual([503, true]);
  await ready();
  expect((await asked).status).toBe(500);
  expect(events("model_lost")[0]).toMatchObject({ reason: "its GPU device was lost: on request" });
});

test("a process that blocks: the server answers, time limits hold, and it is replaced", async () => {
  await start({ timeoutSeconds: 1 });
  const blocked = ask("one {block} two");
  await new Promise((resolve) => setTimeout(resolve, 200));
  const began = performance.now();
  expect((await health()).status).toBe(200);
  expect((await health("/metrics")).status).toBe(200);
  expect(performance.now() - began).toBeLessThan(500);
  expect((await blocked).status).toBe(504);
  // On a busy machine it takes longer than requests may.
  let next = await ask("next");
  while (next.status !== 200) next = await ask("next");
  expect(await textOf(next)).toBe("next ");
  expect(events("model_lost")).toMatchObject([{ reason: "it did not notice the end of a request" }]);
});

test("long bodies arrive whole, and their answers too, however fast they are", async () => {
  await start();
  const key = "a".repeat(500_000);
  for (let i = 0; i < 20; i++) {
    const reply = await ask("x", { [key]: 1 });
    expect([reply.status, ((await reply.json()) as ApiErrorBody).error.code]).toEqual([400, "unknown_parameter"]);
  }
  expect(events("model_lost")).toEqual([]);
});

test("a client that leaves frees the slot", async () => {
  await start({ parallel: 1 });
  const left = new AbortController();
  const words = Array.from({ length: 1000 }, (_, i) => `w${i}`).join(" ");
  const body = JSON.stringify({ messages: [{ role: "user", content: words }] });
  const asked = fetch(`${server!.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    signal: left.signal,
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server!.app.queue.active).toBe(1);
  left.abort();
  await expect(asked).rejects.toThrow("aborted");
  expect(await textOf(await ask("next"))).toBe("next ");
  expect(events("request")[0]).toMatchObject({ status: 499, error: "aborted" });
  expect(events("model_lost")).toEqual([]);
});

test("after three losses within a minute the server gives up, and says why", async () => {
  await start();
  const waiting = ask(deadly("a", 9));
  await waiting;
  await ready();
  const last = await ask(deadly("b", 9));
  expect(last.status).toBe(503);
  expect(failure?.message).toMatch(/3 ends within a minute, the last because it was ended by SIGKILL/);
  expect((await health()).status).toBe(503);
});

test("a model that does not load is an error at once, later one that is repaired", async () => {
  const failing = join(folder, "failing");
  writeFileSync(failing, "");
  const first = await start({ settings: { failing } }).catch((error: unknown) => error);
  expect(first).toBeInstanceOf(LoadFailure);
  expect(first).toMatchObject({ status: 3, text: "ocellus: no model here\n" });
  rmSync(failing);
  await start({ settings: { failing } });
  writeFileSync(failing, "");
  const asked = ask(`one ${deadly("a")} two`);
  while (events("model_lost").length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  rmSync(failing);
  expect(await textOf(await asked)).toBe("one two ");
  expect(events("model_lost").map(({ reason }) => reason)).toEqual([
    "it was ended by SIGKILL",
    "ocellus: no model here",
  ]);
});

test("errors are logged without what requests say, unless the server is asked to", async () => {
  await start();
  expect((await ask("{fail Xylophon}", {}, undefined, { "x-request-id": "failing" })).status).toBe(500);
  await ready();
  expect(events("error")).toMatchObject([
    { id: "failing", name: "Error", stack: expect.stringContaining("fake-model") },
  ]);
  expect(lines.join("")).not.toContain("Xylophon");
  await ask("{crash} one two three");
  expect(lines.join("")).not.toContain("secret");
  await server!.close(0);
  await start({ logMessages: true });
  await ask("{fail Xylophon}");
  expect(lines.join("")).toContain("Xylophon");
});

test("a stopped server leaves no process and no folder", async () => {
  const before = new Set(readdirSync(tmpdir()));
  await start();
  const [{ pid }] = events("model_ready") as [Line & { pid: number }];
  const made = readdirSync(tmpdir()).filter((name) => !before.has(name) && name.startsWith("ocellus-"));
  expect(made.length).toBeGreaterThan(0);
  const running = ask("one two three");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await server!.close(10);
  server = undefined;
  expect(await textOf(await running)).toBe("one two three ");
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect(readdirSync(tmpdir()).filter((name) => made.includes(name))).toEqual([]);
});
