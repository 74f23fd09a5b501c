import { expect, test } from "vitest";
import { WorkerError } from "../../src/base/errors.js";
import { WorkerModel } from "../../src/worker/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { startWorker } from "../support/worker.js";

// A worker that goes in the middle of an answer. Not in Node, where Dawn takes the process along.

const files = await checkpointFiles(TINY);

async function start() {
  const worker = await startWorker();
  const model = await WorkerModel.load(worker.end, files);
  const session = model.createSession();
  const running = session.generate("Hello!", { minNewTokens: 400, maxNewTokens: 400 });
  await running[Symbol.asyncIterator]().next();
  return { worker, model, session, running };
}

test("a worker that is terminated", async () => {
  const { worker, model, session, running } = await start();
  worker.terminate();
  await expect(running.result).rejects.toThrow(WorkerError);
  expect(() => session.generate("Hello!")).toThrow(WorkerError);
  expect(() => model.createSession()).toThrow(WorkerError);
  await expect(session.measure("Hello!")).rejects.toMatchObject({ code: "WORKER" });
  session.dispose();
  model.dispose();
});

test("an error in the worker that nobody caught", async () => {
  const { worker, running } = await start();
  const told = new Promise((resolve) => {
    // The page's own handler; without it the test run would take the error for its own.
    (worker.end as Worker).addEventListener("error", (event) => resolve(event.preventDefault()));
  });
  worker.fail();
  const error = await running.result.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(WorkerError);
  expect((error as Error).message).toMatch(/from the worker/);
  await told;
  worker.terminate();
});

test("a script that is not there, and one that fails", async () => {
  for (const url of ["/no-such-worker.js", URL.createObjectURL(new Blob(["throw new Error('at the top')"]))]) {
    const worker = new Worker(url);
    worker.addEventListener("error", (event) => event.preventDefault());
    await expect(WorkerModel.load(worker, files)).rejects.toThrow(WorkerError);
  }
});
