import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { Interruption } from "../../src/cli/interruption.js";
import { ROOT } from "../support/cli.js";

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill("SIGKILL");
  vi.restoreAllMocks();
});

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  child = spawn(process.execPath, [join(ROOT, "dist/cli/main.js"), ...args], { env: { ...process.env, ...env } });
  return child;
}

/** Sends a signal; returns status and standard error. */
async function ended(running: ChildProcess, signal: NodeJS.Signals): Promise<[number | null, string]> {
  let said = "";
  running.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const exit = once(running, "close");
  running.kill(signal);
  const [code] = (await exit) as [number | null];
  return [code, said];
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("%s while a download hangs ends with %d, and nothing is said", async (signal, status) => {
  const hub = createServer().listen(0, "127.0.0.1");
  const asked = once(hub, "request");
  await once(hub, "listening");
  const HF_ENDPOINT = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  const running = start(["ask", "--model", "some/model", "What?"], { HF_ENDPOINT, HF_HUB_OFFLINE: "" });
  await asked;
  expect(await ended(running, signal)).toEqual([status, ""]);
  hub.closeAllConnections();
  hub.close();
});

test("while standard input is awaited, too", async () => {
  const running = start(["ask", "--image", "-", "What?"]);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(await ended(running, "SIGINT")).toEqual([130, ""]);
});

test("the first signal aborts whoever asked for it, the second ends the process; a command may react in its own way", () => {
  const exit = vi.spyOn(process, "exit").mockImplementation((() => {}) as () => never);
  let now = 0;
  const interruption = new Interruption(() => now);
  const { signal } = interruption;
  const seen: string[] = [];
  interruption.react((name) => seen.push(name));
  interruption.interrupt("SIGINT");
  expect([seen, signal.aborted, interruption.status]).toEqual([["SIGINT"], false, undefined]);
  interruption.react(undefined);
  now += 1000;
  interruption.interrupt("SIGINT");
  now += 100; // forwarded
  interruption.interrupt("SIGINT");
  expect([signal.aborted, interruption.status]).toEqual([true, 130]);
  expect(exit).not.toHaveBeenCalled();
  now += 1000;
  interruption.interrupt("SIGTERM");
  expect(exit).toHaveBeenCalledWith(143);
});
