import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// `ocellus serve` as a process: it says where it listens, and ends as a service should.

let server: ChildProcess | undefined;
let errors = "";
afterEach(() => {
  server?.kill("SIGKILL");
  // One that a test has stopped does not notice the end of its server.
  if (errors.includes("model_ready") && isAlive(modelPid())) process.kill(modelPid(), "SIGKILL");
});

function spawned(...args: string[]): ChildProcess {
  errors = "";
  const main = join(ROOT, "dist/cli/main.js");
  const running = spawn(process.execPath, [main, "serve", "--port", "0", "--log", "json", ...args], { cwd: ROOT });
  server = running;
  running.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  return running;
}

/** The address that the first line of standard output names. */
async function start(...args: string[]): Promise<string> {
  const [line] = (await once(createInterface(spawned(...args).stdout!), "line")) as [string];
  return / at (http:\S+)$/.exec(line)![1]!;
}

/** The latest process with a model, by the log. */
const modelPid = (): number => Number(/"event":"model_ready","pid":(\d+)(?!.*model_ready)/s.exec(errors)![1]);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

function ask(url: string): Promise<Response> {
  return fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hello!" }] }),
  });
}

test("answers under way are finished when it is asked to end", async () => {
  const url = await start("--name", "tiny");
  const ended = once(server!, "exit");
  const stream = await fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Hello!" }], stream: true }),
  });
  expect(stream.status).toBe(200);
  server!.kill("SIGTERM");
  const text = await stream.text();
  expect(text).toContain('"finish_reason":"stop"');
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
  expect(await ended).toEqual([0, null]);
});

test("the model's process ends with the server, however that ends", async () => {
  await start();
  const pid = modelPid();
  expect(isAlive(pid)).toBe(true);
  server!.kill("SIGKILL");
  await until(() => !isAlive(pid));
});

test("a stopped model's process holds up neither probes nor time limits", async () => {
  const url = await start("--timeout", "1");
  const pid = modelPid();
  process.kill(pid, "SIGSTOP");
  const asked = ask(url);
  for (const path of ["health", "livez", "metrics"]) expect((await fetch(new URL(`/${path}`, url))).status).toBe(200);
  const reply = await asked;
  expect([reply.status, reply.headers.get("x-should-retry")]).toEqual([504, "false"]);
  process.kill(pid, "SIGCONT");
  // The first answer compiles pipelines.
  while ((await ask(url)).status !== 200) expect(modelPid()).toBe(pid);
});

test("a second signal ends the server at once, and its model's process, even one that does not run", async () => {
  const url = await start("--grace", "100");
  const pid = modelPid();
  process.kill(pid, "SIGSTOP");
  const asked = ask(url).catch(() => "broken");
  await new Promise((resolve) => setTimeout(resolve, 200));
  const ended = once(server!, "exit");
  server!.kill("SIGTERM");
  // Two within half a second are one: from a terminal, and forwarded.
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(server!.exitCode).toBeNull();
  server!.kill("SIGTERM");
  expect([await ended, await asked]).toEqual([[143, null], "broken"]);
  await until(() => !isAlive(pid));
});

test("a model that is none is an error at once, with its status", async () => {
  const ended = once(spawned("--model", "models"), "close");
  expect(await ended).toEqual([1, null]);
  expect(errors).toMatch(/^ocellus: models: expected .* — /);
  const wrong = once(spawned("--dtype", "q5"), "close");
  expect(await wrong).toEqual([2, null]);
});

test("a signal while the model loads ends it quietly", async () => {
  const hub = createServer().listen(0, "127.0.0.1");
  await once(hub, "listening");
  const asked = once(hub, "request");
  process.env.HF_ENDPOINT = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  const ended = once(spawned("--model", "nobody/nothing"), "close");
  delete process.env.HF_ENDPOINT;
  try {
    await asked;
    server!.kill("SIGTERM");
    expect([await ended, errors]).toEqual([[0, null], ""]);
  } finally {
    hub.closeAllConnections();
    hub.close();
  }
});
