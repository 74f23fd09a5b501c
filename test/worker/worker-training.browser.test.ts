import { afterAll, beforeAll, expect, test } from "vitest";
import { AbortedError, OptionError } from "../../src/base/errors.js";
import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import type { ConvertedFile } from "../../src/models/convert.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { TrainOptions } from "../../src/models/training-options.js";
import { WorkerModel } from "../../src/worker/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { exampleFile } from "../support/examples.js";
import { startWorker, type TestWorker } from "../support/worker.js";

const OPTIONS: TrainOptions = { steps: 3, learningRate: 5e-3, schedule: "constant", lora: { rank: 4 } };

const picture = await exampleFile("11-gallery-1.png");
const data = ["A ruby.", "An emerald."].map((answer) => ({
  messages: [
    {
      role: "user" as const,
      content: [
        { type: "image" as const, image: new Blob([new Uint8Array(picture)]) },
        { type: "text" as const, text: "Which gem?" },
      ],
    },
    { role: "assistant" as const, content: answer },
  ],
}));

let worker: TestWorker;
let model: WorkerModel;
beforeAll(async () => {
  worker = await startWorker();
  model = await WorkerModel.load(worker.end, await checkpointFiles(TINY));
});
afterAll(async () => {
  model.dispose();
  while ((await worker.bytes()) > 0);
  worker.terminate();
});

async function blobs(files: AsyncIterable<ConvertedFile>): Promise<NamedBlob[]> {
  const all: NamedBlob[] = [];
  for await (const { name, sizeBytes, chunks } of files) {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of chunks) parts.push(new Uint8Array(chunk));
    all.push(new File(parts, name));
    expect(all.at(-1)!.size).toBe(sizeBytes);
  }
  return all;
}

test("steps are those without a worker; sessions select the adapter, files and state come along, and a run resumes", async () => {
  const own = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
  const expected: number[] = [];
  let matched: unknown;
  for await (const step of own.train(data, OPTIONS)) {
    expected.push(step.loss);
    if (step.step === 3) matched = await step.evaluate(data);
  }
  own.dispose();

  const losses: number[] = [];
  let state: NamedBlob[] = [];
  let names: string[] = [];
  const estimates: number[] = [];
  const onEstimate = ({ totalBytes }: { totalBytes: number }) => estimates.push(totalBytes);
  for await (const step of model.train(data, { ...OPTIONS, onEstimate })) {
    losses.push(step.loss);
    if (step.step === 2) state = await blobs(step.state());
    if (step.step < 3) continue;
    names = (await blobs(step.files())).map(({ name }) => name);
    expect(await step.evaluate(data)).toEqual(matched);
  }
  expect(losses).toEqual(expected);
  expect(estimates).toHaveLength(1);
  expect(names.toSorted()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);

  const resumed: number[] = [];
  for await (const step of model.train(data, { ...OPTIONS, resume: state })) resumed.push(step.loss);
  expect(resumed).toEqual(expected.slice(2));

  const logprob = async (adapters: string[]) => {
    using session = model.createSession({ adapters });
    const { result } = session.generate("Which gem?", { maxNewTokens: 1, logprobs: true });
    return (await result).logprobs![0]!.logprob;
  };
  expect(await logprob(["trained"])).not.toBe(await logprob([]));
});

test("a run ends by break, by an abort and by a callback's error, and the model stays usable", async () => {
  for await (const _ of model.train(data, OPTIONS)) break;
  const controller = new AbortController();
  const aborted = (async () => {
    for await (const { step } of model.train(data, { ...OPTIONS, signal: controller.signal })) {
      if (step === 1) controller.abort(new Error("enough"));
    }
  })();
  await expect(aborted).rejects.toThrow(AbortedError);
  const thrown = (async () => {
    const onEstimate = () => {
      throw new RangeError("mine");
    };
    for await (const _ of model.train(data, { ...OPTIONS, onEstimate }));
  })();
  await expect(thrown).rejects.toThrow("mine");
  const wrong = (async () => {
    for await (const _ of model.train([], OPTIONS));
  })();
  await expect(wrong).rejects.toThrow(OptionError);
  using session = model.createSession({ adapters: [] });
  expect((await session.generate("Hello!", { maxNewTokens: 3 }).result).tokens).toHaveLength(3);
});
