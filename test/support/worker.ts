import type { WorkerEnd } from "../../src/worker/index.js";

/** Where this module runs: a file in Node, a page of the test server in the browser. */
const HERE = import.meta.url;

/** A worker of the runtime that the test is in. */
export interface TestWorker {
  readonly end: WorkerEnd;
  /** What the worker's devices hold. */
  bytes(): Promise<number>;
  /** Destroys the worker's newest device. */
  lose(): void;
  /** Throws an error in the worker. */
  fail(): void;
  terminate(): void;
}

/** Starts a worker that serves models; in Node it is the built package. */
export async function startWorker(): Promise<TestWorker> {
  return HERE.startsWith("file:") ? nodeWorker() : pageWorker();
}

async function nodeWorker(): Promise<TestWorker> {
  const threads = "node:worker_threads"; // a variable keeps it out of the browser's bundle
  const { Worker } = (await import(/* @vite-ignore */ threads)) as typeof import("node:worker_threads");
  const worker = new Worker(new URL("./serve-models.mjs", HERE));
  return {
    end: worker,
    bytes: () =>
      new Promise((resolve) => {
        worker.once("message", resolve);
        worker.postMessage("bytes");
      }),
    lose: () => worker.postMessage("lose"),
    fail: () => worker.postMessage("fail"),
    terminate: () => void worker.terminate(),
  };
}

function pageWorker(): TestWorker {
  const worker = new Worker(new URL("./serve-models.ts", import.meta.url), { type: "module" });
  return {
    end: worker,
    bytes: () =>
      new Promise((resolve) => {
        worker.addEventListener("message", ({ data }) => resolve(data as number), { once: true });
        worker.postMessage("bytes");
      }),
    lose: () => worker.postMessage("lose"),
    fail: () => worker.postMessage("fail"),
    terminate: () => worker.terminate(),
  };
}
