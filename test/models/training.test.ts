import { expect, test } from "vitest";
import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import { openSafetensors } from "../../src/io/safetensors.js";
import { blobSource } from "../../src/io/source.js";
import type { ConvertedFile } from "../../src/models/convert.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import type { TrainOptions } from "../../src/models/training-options.js";
import type { TrainingStep } from "../../src/models/training-step.js";
import type { TrainingRecord } from "../../src/training/samples.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";

const FOLDER = "goldens/hf-05b-like";
const DATA: TrainingRecord[] = ["a", "b", "c"].map((letter, i) => ({
  messages: [
    { role: "user", content: `Say ${letter}.` },
    { role: "assistant", content: [{ type: "tokens", tokens: [i + 20, i + 30, i + 40] }] },
  ],
}));
const OPTIONS: TrainOptions = { learningRate: 1e-2, schedule: "constant", steps: 4, shuffle: true, seed: 3, batch: 2 };

async function load(options: LoadOptions = {}): Promise<LlavaOneVision> {
  const device = await sharedDevice({ features: "all" });
  return LlavaOneVision.load(await checkpointFiles(FOLDER), { device, dtype: "f32", ...options });
}

async function blobs(files: AsyncIterable<ConvertedFile>): Promise<NamedBlob[]> {
  const all: NamedBlob[] = [];
  for await (const { name, sizeBytes, chunks } of files) {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of chunks) parts.push(new Uint8Array(chunk));
    const file = new File(parts, name);
    expect(file.size).toBe(sizeBytes);
    all.push(file);
  }
  return all;
}

/** Losses of the steps; `each` sees every one. */
async function losses(
  model: LlavaOneVision,
  options: TrainOptions,
  each: (step: TrainingStep) => Promise<void> = async () => {},
): Promise<number[]> {
  const all: number[] = [];
  for await (const step of model.train(DATA, options)) {
    all.push(step.loss);
    await each(step);
  }
  return all;
}

test("a new adapter learns, is used by sessions, and is saved in PEFT's format", async () => {
  const model = await load();
  let saved: NamedBlob[] = [];
  const curve = await losses(model, { ...OPTIONS, lora: { rank: 4, alpha: 12 } }, async (step) => {
    if (step.step === 4) saved = await blobs(step.files());
  });
  expect(curve[3]).toBeLessThan(0.8 * curve[0]!);
  expect(model.adapters).toEqual(["trained"]);
  const answer = (own: LlavaOneVision, adapters?: string[]) =>
    own.createSession({ adapters }).generate("Say a.", { maxNewTokens: 8 }).result;
  const { tokens } = await answer(model);
  expect((await answer(model, [])).tokens).not.toEqual(tokens);
  // One more step with the saved adapter has the loss that the model has now.
  const next = await losses(model, { ...OPTIONS, steps: 1, adapter: "trained" });
  model.dispose();
  expect(saved.map(({ name }) => name)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  const config = JSON.parse(await saved[0]!.text()) as Record<string, unknown>;
  expect(config).toMatchObject({ peft_type: "LORA", r: 4, lora_alpha: 12, modules_to_save: null });
  const again = await load({ adapter: { from: saved, name: "saved" } });
  expect((await answer(again)).tokens).toEqual(tokens);
  const [loss] = await losses(again, { ...OPTIONS, steps: 1, adapter: "saved" });
  expect(loss).toBeCloseTo(next[0]!, 5);
  again.dispose();
  await checkGivenBack(await sharedDevice({ features: "all" }));
});

test("dropout changes nothing while B is zero, and then what is learnt", async () => {
  const curves: number[][] = [];
  for (const dropout of [0, 0.5]) {
    const model = await load();
    curves.push(
      await losses(model, { ...OPTIONS, steps: 3, lora: { rank: 4, dropout } }, async ({ step, files }) => {
        if (step < 3) return;
        const [config] = await blobs(files());
        expect(JSON.parse(await config!.text())).toMatchObject({ lora_dropout: dropout });
      }),
    );
    model.dispose();
  }
  const [without, withIt] = curves as [number[], number[]];
  expect(withIt[0]).toBe(without[0]);
  expect(Math.abs(withIt[2]! - without[2]!)).toBeGreaterThan(1e-4);
  expect(withIt[2]).toBeLessThan(withIt[0]!);
});

test("an adapter with the projector goes on with it, and both are saved again", async () => {
  const image = { data: new Uint8Array(64 * 3).fill(200), width: 8, height: 8 };
  const question = { role: "user" as const, content: [{ type: "image" as const, image }] };
  const data = [{ messages: [question, DATA[0]!.messages[1]!] }];
  const options: TrainOptions = { ...OPTIONS, steps: 1, batch: 1, lora: { rank: 2 }, imageMode: "pad" };
  const trained = async (model: LlavaOneVision, more: TrainOptions) => {
    for await (const step of model.train(data, { ...options, ...more }))
      return { step, saved: await blobs(step.files()) };
    throw new Error("no step");
  };
  const first = await load();
  const { saved } = await trained(first, { train: ["lora", "projector"] });
  first.dispose();
  const second = await load({ adapter: { from: saved, name: "saved" } });
  const { saved: again } = await trained(second, { adapter: "saved" });
  second.dispose();
  const [before, after] = await Promise.all([saved, again].map(async ([, file]) => tensorsOf(file!)));
  expect(JSON.parse(await again[0]!.text())).toMatchObject({ modules_to_save: ["multi_modal_projector"] });
  expect([...after!.keys()]).toEqual([...before!.keys()]);
  const projector = [...after!].filter(([name]) => name.includes("multi_modal_projector"));
  expect(projector.length).toBe(4);
  for (const [name, bytes] of projector) expect(bytes, name).not.toEqual(before!.get(name));
  const third = await load({ adapter: { from: saved, name: "saved" }, dtype: "q8" });
  await expect(trained(third, { adapter: "saved" })).rejects.toThrow(/linear_1.*: expected f32, since it is trained/);
  third.dispose();
});

/** The bytes of a file's tensors. */
async function tensorsOf(file: NamedBlob): Promise<Map<string, Uint8Array>> {
  const { source, entries } = await openSafetensors(blobSource(file, file.name));
  const all = new Map<string, Uint8Array>();
  for (const [name, { offsetBytes, lengthBytes }] of entries)
    all.set(name, await source.read(offsetBytes, lengthBytes));
  return all;
}

test("a checkpoint of all weights has the loss of the next step, and the tensors of the stored one", async () => {
  const model = await load();
  let saved: NamedBlob[] = [];
  const options: TrainOptions = { ...OPTIONS, train: "all", learningRate: 1e-4, batch: 3, shuffle: false, steps: 3 };
  const curve = await losses(model, options, async (step) => {
    if (step.step === 2) saved = await blobs(step.files());
  });
  model.dispose();
  const device = await sharedDevice({ features: "all" });
  const again = await LlavaOneVision.load(saved, { device, dtype: "f32" });
  // The records of the third step, which begin the next pass.
  const [loss] = await losses(again, { ...options, steps: 1 });
  again.dispose();
  expect(loss).toBeCloseTo(curve[2]!, 5);
  await checkGivenBack(device);
});

test.each([
  ["lora", { lora: { rank: 4, dropout: 0.3 } }],
  ["language", { shuffle: false, groupByLength: true }],
] as const)("a run that is resumed has the losses of one that was not, bit by bit: %s %o", async (train, order) => {
  const options = { ...OPTIONS, ...order, train, learningRate: { lora: 1e-2, language: 1e-4 } };
  const whole = await load();
  const curve = await losses(whole, options);
  whole.dispose();
  const first = await load();
  const begun: number[] = [];
  let state: NamedBlob[] = [];
  for await (const step of first.train(DATA, options)) {
    begun.push(step.loss);
    if (step.step < 2) continue;
    state = await blobs(step.state());
    break;
  }
  first.dispose();
  const second = await load();
  const rest = await losses(second, { ...options, resume: state });
  second.dispose();
  expect([...begun, ...rest]).toEqual(curve);
  const third = await load();
  await expect(losses(third, { ...options, resume: state, seed: 4 })).rejects.toThrow(
    /same data and options, got seed 3, now 4/,
  );
  third.dispose();
  await checkGivenBack(await sharedDevice({ features: "all" }));
});

test("records that can't be used are an error, or left out and reported", async () => {
  const model = await load();
  const open = { messages: DATA[0]!.messages.slice(0, 1), where: "data.jsonl, line 4" };
  const options = { ...OPTIONS, steps: 2, batch: 1 };
  await expect(async () => {
    for await (const _ of model.train([...DATA, open], options));
  }).rejects.toThrow(/^data\.jsonl, line 4: expected an answer as the last message/);
  const reported: string[] = [];
  const steps: (number | undefined)[] = [];
  const skipBad = (faults: readonly Error[]) => void reported.push(...faults.map(({ message }) => message));
  for await (const { secondsLeft } of model.train([open, ...DATA], { ...options, skipBad })) steps.push(secondsLeft);
  expect(reported).toEqual([expect.stringContaining("data.jsonl, line 4")]);
  // Nothing is known after the first step, and nothing is left after the last.
  expect(steps).toEqual([undefined, 0]);
  model.dispose();
});

test.each(["q8", "q4", "bf16"] as const)("an adapter is trained over weights in %s", async (dtype) => {
  const model = await load({ dtype });
  const curve = await losses(model, OPTIONS);
  expect(curve[3]).toBeLessThan(0.8 * curve[0]!);
  model.dispose();
});

test("gradients of several batches are those of one large batch", async () => {
  const [one, other] = [await load(), await load()];
  const large = await losses(one, { ...OPTIONS, steps: 2, batch: 6 });
  const small = await losses(other, { ...OPTIONS, steps: 2, batch: 2, accumulate: 3 });
  expect(small).toEqual(large);
  one.dispose();
  other.dispose();
});

test.each([
  [{ train: "everything" }, 'model.train, train: expected lora, vision, projector, language, all, got "everything"'],
  [{ train: ["lora", "language"] }, "an adapter alone, or with the projector"],
  [{ steps: 0 }, "model.train, steps: expected an integer of at least 1, got 0"],
  [{ steps: 1, epochs: 1 }, "either steps or epochs"],
  [{ learningRate: { lora: -1 } }, "model.train, learningRate.lora"],
  [{ adapter: "other" }, "a loaded adapter, got other"],
  [{ lora: { dropout: 1 } }, "model.train, lora.dropout: expected from 0 to below 1, got 1"],
  [{ skipBad: true }, "model.train, skipBad: expected a function that receives the errors, got true"],
  [{ learning_rate: 1 }, "option `learning_rate` — did you mean `learningRate`?"],
])("options %o are refused", async (options, message) => {
  const model = await load();
  await expect(losses(model, options as TrainOptions)).rejects.toThrow(message);
  model.dispose();
});

test("weights that are trained must be f32, and a signal ends the run", async () => {
  const model = await load({ dtype: "q8" });
  await expect(losses(model, { train: "projector" })).rejects.toThrow("expected f32, since it is trained, got q8");
  const controller = new AbortController();
  const ended = losses(model, { ...OPTIONS, signal: controller.signal }, async () => controller.abort());
  await expect(ended).rejects.toMatchObject({ code: "ABORTED" });
  model.dispose();
  await checkGivenBack(await sharedDevice({ features: "all" }));
});
