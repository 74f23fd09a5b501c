import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { AbortedError, WorkerError } from "../../src/base/errors.js";
import { WorkerModel } from "../../src/worker/index.js";
import { testPicture } from "../support/pixels.js";
import { random as seeded } from "../support/random.js";

const SCRIPT = new URL("../support/serve-models.mjs", import.meta.url);
const IMAGE = { type: "image", image: testPicture(384, 384) } as const;
const ROUNDS = 6;
/** Over that, every round would leave something behind; a model with its device takes some 100 MB. */
const GROWTH_BYTES = 150e6;

test(`workers terminated while they load, read a picture, answer or abort: ${ROUNDS} rounds`, async () => {
  const random = seeded(5);
  let before = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const worker = new Worker(SCRIPT);
    const exited = new Promise((resolve) => worker.once("exit", resolve));
    const loading = WorkerModel.load(worker, "models/tiny");
    if (round % 3 === 0) {
      const ended = expect(loading).rejects.toThrow(WorkerError);
      await worker.terminate();
      await ended;
    } else {
      const model = await loading;
      const answer = model
        .createSession()
        .generate([IMAGE, { type: "text", text: "What is it?" }], { maxNewTokens: 64 });
      const ended = expect(answer.result).rejects.toThrow(WorkerError);
      const controller = new AbortController();
      const aborted = model.createSession().generate("Hello!", { signal: controller.signal }).result;
      const refused = expect(aborted).rejects.toThrow(AbortedError);
      await new Promise((resolve) => setTimeout(resolve, 400 * random()));
      controller.abort();
      await refused;
      await Promise.all([worker.terminate(), worker.terminate()]);
      await ended;
      expect(() => model.createSession()).toThrow(WorkerError);
    }
    await exited;
    if (round === 1) before = process.memoryUsage.rss();
  }
  expect(process.memoryUsage.rss() - before).toBeLessThan(GROWTH_BYTES);
});

test("terminating right after dispose, and a second model of the same worker", async () => {
  const worker = new Worker(SCRIPT);
  const [first, second] = await Promise.all([1, 2].map(() => WorkerModel.load(worker, "models/tiny")));
  const answers = [first!, second!].map((model) => model.createSession().generate("Hello!", { maxNewTokens: 64 }));
  const ended = answers.map(({ result }) => expect(result).rejects.toThrow());
  first!.dispose();
  await worker.terminate();
  await Promise.all(ended);
});

test("a process that ends in the middle of a worker's work has its own exit code", () => {
  const code = `
    import { Worker } from "node:worker_threads";
    import { WorkerModel } from "ocellus/worker";
    const worker = new Worker(${JSON.stringify(fileURLToPath(SCRIPT))}, { execArgv: [] });
    const model = await WorkerModel.load(worker, "models/tiny");
    model.createSession().generate("Hello!", { maxNewTokens: 64 }).result.catch(() => {});
    setTimeout(() => process.exit(7), 100);`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(7);
});
