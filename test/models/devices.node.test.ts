import { afterEach, describe, expect, test } from "vitest";
import { DeviceLostError, DisposedError, OptionError } from "../../src/base/errors.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { ASKED, answerOf, LONG } from "../support/asked.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { useDevice } from "../support/device.js";
import { goldenFaults, goldenIndex, smallCases } from "../support/golden-case.js";
import { packedFiles } from "../support/packed.js";

// A model on two devices answers what it answers on one.

const held = useDevice();
const other = useDevice({ f16: true });
const { steps, models } = await goldenIndex();
const tiny = await checkpointFiles(TINY);
const SLOW_TEST_MS = 600_000;

const opened: LlavaOneVision[] = [];
afterEach(() => {
  for (const model of opened.splice(0)) model.dispose();
  expect([held, other].map(({ device }) => device.pool.liveBytes)).toEqual([0, 0]);
});

async function load(options: LoadOptions = { devices: [held.device, other.device] }, files = tiny) {
  const model = await LlavaOneVision.load(files, options);
  opened.push(model);
  return model;
}

describe.each(Object.entries(models))("golden cases of %s", (folder, cases) => {
  test.each(smallCases(cases))(
    "%s",
    async (name) => {
      const model = await load(undefined, await checkpointFiles(`goldens/${folder}`));
      expect(model.internals.network.language.stages.length).toBe(2);
      expect(await goldenFaults(model, folder, name, steps)).toEqual([]);
    },
    SLOW_TEST_MS,
  );
});

test("answers alone and at once, with drafts and masks, are those of one device", async () => {
  const one = await load({ device: held.device });
  const truth = [];
  for (const asked of ASKED) truth.push(await answerOf(one, asked));
  one.dispose();
  const model = await load();
  // Layers are on both, and memory too.
  expect(model.internals.network.language.stages.map(({ layers }) => layers)).toEqual([1, 3]);
  expect(other.device.pool.liveBytes).toBeGreaterThan(2 ** 20);
  const alone = [];
  for (const asked of ASKED) alone.push(await answerOf(model, asked));
  expect(alone).toEqual(truth);
  expect(await Promise.all(ASKED.map((asked) => answerOf(model, asked)))).toEqual(truth);
});

test("a second question reuses the cached rows, a clone computes them again, and texts are embedded", async () => {
  const all = async (model: LlavaOneVision) => {
    using session = model.createSession();
    await session.generate(ASKED[1]!.input, { maxNewTokens: 8 }).result;
    using clone = session.clone();
    const second = await session.generate("And the colour?", { maxNewTokens: 8 }).result;
    const cloned = await clone.generate("And the colour?", { maxNewTokens: 8 }).result;
    const embedded = await model.embedText("A square and a star.");
    return { second: second.text, cloned: cloned.text, embedded, reused: second.usage.reusedTokens };
  };
  const one = await load({ device: held.device });
  const truth = await all(one);
  one.dispose();
  expect(truth.reused).toBeGreaterThan(0);
  expect(await all(await load())).toEqual(truth);
});

test("packed layers are copied to their devices, by the bytes of each", async () => {
  const packed = await packedFiles(tiny, { dtype: "q4" });
  const one = await load({ device: held.device }, packed);
  const truth = await answerOf(one, ASKED[0]!);
  one.dispose();
  const devices = [
    { device: held.device, bytes: 4e9 },
    { device: other.device, bytes: 4e9 },
  ];
  const progress: number[] = [];
  const onProgress = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }): void =>
    void progress.push(loadedBytes / totalBytes);
  const model = await load({ devices, onProgress }, packed);
  expect(model.internals.network.language.stages.map(({ layers }) => layers)).toEqual([2, 2]);
  expect(progress.at(-1)).toBe(1);
  expect(await answerOf(model, ASKED[0]!)).toEqual(truth);
});

test("the loss of a device is an error that names it, before a question and during one", async () => {
  for (const isEarly of [true, false]) {
    const lost = await Device.open();
    const model = await load({ devices: [held.device, lost] });
    using session = model.createSession();
    if (isEarly) lost.gpu.destroy();
    const answer = session.generate("What do you see?", LONG);
    const read = async (): Promise<void> => {
      for await (const _ of answer) lost.gpu.destroy();
      await answer.result;
    };
    const error = await read().then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(DeviceLostError);
    expect((error as DeviceLostError).message).toContain("devices[1], ");
    session.dispose();
    model.dispose();
    lost.dispose();
  }
});

test("a model that is disposed during a prompt ends its answers, and frees all on both devices", async () => {
  const model = await load();
  const session = model.createSession();
  const onProgress = ({ stage }: { stage: string }): void => {
    if (stage === "prefill") queueMicrotask(() => model.dispose());
  };
  await expect(session.generate("What do you see?", { onProgress }).result).rejects.toThrow(DisposedError);
  for (const { device } of [held, other]) {
    await device.sync();
    expect(device.pool.liveBytes).toBe(0);
  }
});

test("what needs all layers on one device is refused by name", async () => {
  const model = await load();
  using session = model.createSession();
  await session.generate("What do you see?", { maxNewTokens: 2 }).result;
  await expect(session.attention()).rejects.toThrow("session.attention: expected a model on one device, got one on 2");
  const train = model.train([
    {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ],
    },
  ]);
  await expect(train.next()).rejects.toThrow("model.train: expected a model on one device");
  await expect(model.reload()).rejects.toThrow(OptionError);
  const devices = [held.device, other.device];
  await expect(load({ devices, weights: "stream" })).rejects.toThrow("no `weights` beside it");
});
