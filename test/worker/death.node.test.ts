import { EventEmitter } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test, vi } from "vitest";
import { AbortedError, DisposedError, WorkerError } from "../../src/base/errors.js";
import { WorkerModel } from "../../src/worker/index.js";

// Workers that end, fail or never answer, without a GPU: they say that they are there, and nothing more.

const SILENT = `
  require("node:worker_threads").parentPort.on("message", ({ port, fault }) => {
    if (fault === "exit") process.exit(3);
    if (fault) throw new RangeError(fault);
    port.on("message", () => {});
    port.postMessage({ kind: "connected" });
  });`;
const start = (code: string) => new Worker(code, { eval: true });

afterEach(() => {
  vi.useRealTimers();
});

test.each([
  ["is terminated", (worker: Worker) => void worker.terminate(), /terminated worker/],
  ["exits", (worker: Worker) => worker.postMessage({ fault: "exit" }), /terminated worker/],
  ["throws", (worker: Worker) => worker.postMessage({ fault: "by itself" }), /by itself/],
])("a worker that %s", async (_, end, message) => {
  const worker = start(SILENT);
  const loading = WorkerModel.load(worker, "models/tiny");
  await new Promise((resolve) => worker.once("online", resolve));
  end(worker);
  await expect(loading).rejects.toThrow(WorkerError);
  await expect(loading).rejects.toThrow(message);
});

test("a worker that has ended before, one that fails at once, one whose file is not there", async () => {
  const ended = start(SILENT);
  await ended.terminate();
  await expect(WorkerModel.load(ended, "models/tiny")).rejects.toThrow(WorkerError);
  await expect(WorkerModel.load(start("throw new Error('at the top')"), "models/tiny")).rejects.toThrow(/at the top/);
  await expect(WorkerModel.load(new Worker("/no-such-worker.js"), "models/tiny")).rejects.toThrow(/no-such-worker/);
});

test.each([
  ["its error, which comes after its ports are closed", new RangeError("too late"), /too late/],
  ["that it is terminated, where nothing more comes", undefined, /terminated worker/],
])("a thread that ends: %s", async (_, error, message) => {
  const worker = Object.assign(new EventEmitter(), {
    threadId: 1,
    postMessage({ port }: { port: MessagePort }) {
      port.addEventListener("close", () => setTimeout(() => error && worker.emit("error", error), 50));
      port.close();
    },
  });
  await expect(WorkerModel.load(worker, "models/tiny")).rejects.toThrow(message);
});

test("nobody serves at the other end", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { port1, port2 } = new MessageChannel();
  const asked = new Promise((resolve) => port2.addEventListener("message", resolve, { once: true }));
  const loading = WorkerModel.load(port1, "models/tiny");
  const refused = expect(loading).rejects.toThrow(/serve\(self\)/);
  await asked;
  await vi.advanceTimersByTimeAsync(60_000);
  await refused;
  const controller = new AbortController();
  const waiting = WorkerModel.load(port1, "models/tiny", { signal: controller.signal });
  controller.abort();
  await expect(waiting).rejects.toThrow(AbortedError);
  port2.close();
});

test("a worker that does not answer, and a model that is disposed", async () => {
  const { port1, port2 } = new MessageChannel();
  port2.addEventListener("message", ({ data }) => {
    const { port } = data as { port: MessagePort };
    port.addEventListener("message", ({ data: { kind, call } }) => {
      if (kind === "load") port.postMessage({ kind: "done", call, value: undefined });
    });
    port.postMessage({ kind: "connected" });
  });
  const model = await WorkerModel.load(port1, "models/tiny");
  const session = model.createSession();
  const answer = session.generate("Hello!");
  const appended = model.createSession().append("Hello!");
  model.dispose();
  await expect(answer.result).rejects.toThrow(DisposedError);
  await expect(appended).rejects.toThrow(DisposedError);
  expect(() => session.reset()).toThrow(DisposedError);
  port1.close();
});
