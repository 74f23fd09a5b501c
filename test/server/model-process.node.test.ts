import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { NUMBER, type ProcessMessage, type Start } from "../../src/server/messages.js";

// The process on its own: messages over the channel, requests over the socket.

let child: ChildProcess;
let folder: string;
let messages: ProcessMessage[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "model-process-"));
  child = fork(new URL("../support/fake-model.mjs", import.meta.url), { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  messages = [];
  child.on("message", (message) => messages.push(message as ProcessMessage));
});
afterEach(() => child.kill("SIGKILL"));

const of = (kind: ProcessMessage["kind"]): ProcessMessage[] => messages.filter((message) => message.kind === kind);

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function load(settings: object = {}): Promise<void> {
  const socket = join(folder, "model.sock");
  const start: Start = { socket, parallel: 1, maxPixels: undefined, remoteMedia: false, settings };
  child.send(start);
  await until(() => of("ready").length + of("failed").length > 0);
}

function ask(content: string, number: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { [NUMBER]: number };
    const asking = request({
      socketPath: join(folder, "model.sock"),
      path: "/v1/chat/completions",
      method: "POST",
      headers,
    });
    asking.on("error", reject);
    asking.on("response", async (reply) => resolve(Buffer.concat(await reply.toArray()).toString()));
    asking.end(JSON.stringify({ messages: [{ role: "user", content }] }));
  });
}

test("it is ready when the model is loaded, and reports bytes and the ends of requests", async () => {
  await load();
  expect(messages).toEqual([
    { kind: "memory", use: { gpuBytes: 7, usedBlocks: 3, sharedBlocks: 2, preemptions: 1 } },
    { kind: "ready", adapter: "none" },
  ]);
  expect(await ask("one two", 5)).toContain("one two");
  await until(() => of("ended").length > 0);
  expect(of("ended")).toMatchObject([{ number: 5, ended: { answers: [{ usage: { completionTokens: 2 } }] } }]);
});

test("an error of loading is described, and ends it", async () => {
  const exit = once(child, "exit");
  await load({ failing: folder });
  expect(messages).toEqual([{ kind: "failed", status: 3, text: "ocellus: no model here\n" }]);
  expect(await exit).toEqual([1, null]);
});

test("an exception that nobody catches is reported, and ends it", async () => {
  const exit = once(child, "exit");
  await load();
  void ask("{crash} one two three four", 1).catch(() => {});
  expect(await exit).toEqual([1, null]);
  await until(() => of("error").length > 0);
  expect(of("error")).toMatchObject([{ error: { message: "a secret in flight", known: false } }]);
});

test("signals do not end it, the end of its channel does, while it loads as well; its folder goes with it", async () => {
  await load();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) child.kill(signal);
  expect(await ask("one", 1)).toContain("one");
  const exit = once(child, "exit");
  child.disconnect();
  expect(await exit).toEqual([0, null]);
  expect(existsSync(folder)).toBe(false);
  child = fork(new URL("../support/fake-model.mjs", import.meta.url), { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  child.send({ socket: join(folder, "model.sock"), parallel: 1, settings: { slowMs: 60_000 } });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const early = once(child, "exit");
  child.disconnect();
  expect(await early).toEqual([0, null]);
});
