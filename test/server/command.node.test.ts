import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// `ocellus serve` as a process: it says where it listens, and ends as a service should.

let server: ChildProcess | undefined;
afterEach(() => server?.kill("SIGKILL"));

/** The address that the first line of standard output names. */
async function start(...args: string[]): Promise<string> {
  server = spawn(process.execPath, [join(ROOT, "dist/cli/main.js"), "serve", "--port", "0", ...args], { cwd: ROOT });
  const [line] = (await once(createInterface(server.stdout!), "line")) as [string];
  return / at (http:\S+)$/.exec(line)![1]!;
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
