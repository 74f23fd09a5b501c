import { expect, test } from "vitest";
import { DeviceLostError } from "../../src/base/errors.js";
import { WorkerModel } from "../../src/worker/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { startWorker } from "../support/worker.js";

// A device that a worker loses in the middle of an answer: in Node a thread's, in Chromium that of a module worker.

const files = await checkpointFiles(TINY);
const LONG = { minNewTokens: 40, maxNewTokens: 40 };

test("an answer of a worker's model continues after the loss of the device", async () => {
  const worker = await startWorker();
  const model = await WorkerModel.load(worker.end, files, { onDeviceLost: "reload" });
  const [undisturbed, session] = [model.createSession(), model.createSession()];
  const first = await undisturbed.generate("What is a star?", LONG).result;
  const second = await undisturbed.generate("And a circle?", LONG).result;
  const stages = new Set<string>();
  let text = "";
  let lost = false;
  const answer = session.generate("What is a star?", { ...LONG, onProgress: ({ stage }) => stages.add(stage) });
  for await (const piece of answer) {
    text += piece.text;
    if (!lost) worker.lose();
    lost = true;
  }
  expect(text).toBe(first.text);
  expect([...stages].sort()).toEqual(["decode", "prefill", "reload"]);
  // Between answers, and by the program's own call.
  worker.lose();
  const shares: number[] = [];
  await model.reload({ onProgress: ({ loadedBytes, totalBytes }) => shares.push(loadedBytes / totalBytes) });
  expect(shares.at(-1)).toBe(1);
  expect(model.adapter.name).not.toBe("");
  expect((await session.generate("And a circle?", LONG).result).text).toBe(second.text);
  expect(session.messages).toEqual(undisturbed.messages);
  model.dispose();
  while ((await worker.bytes()) > 0);
  worker.terminate();
});

test("without the option the loss is an error, and reload restores the session", async () => {
  const worker = await startWorker();
  const model = await WorkerModel.load(worker.end, files);
  const session = model.createSession();
  const before = await session.generate("What is a star?", LONG).result;
  worker.lose();
  await expect(session.generate("And a circle?", LONG).result).rejects.toThrow(DeviceLostError);
  expect(session.messages).toHaveLength(2);
  await model.reload();
  session.reset();
  expect((await session.generate("What is a star?", LONG).result).text).toBe(before.text);
  model.dispose();
  while ((await worker.bytes()) > 0);
  worker.terminate();
});
