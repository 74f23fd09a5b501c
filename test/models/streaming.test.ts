import { afterEach, describe, expect, test, vi } from "vitest";
import { AbortedError, DisposedError, OptionError } from "../../src/base/errors.js";
import { LayerHash } from "../../src/io/checkpoint/layer-hash.js";
import { WeightLoader } from "../../src/layers/weights.js";
import { Network } from "../../src/models/llava-onevision/network.js";
import { Qwen2Layer } from "../../src/models/llava-onevision/qwen2.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { ASKED, answerOf, LONG } from "../support/asked.js";
import { adapterFiles, checkpointFiles, TINY } from "../support/checkpoint.js";
import { useDevice } from "../support/device.js";
import { goldenFaults, goldenIndex, smallCases } from "../support/golden-case.js";
import { packedFiles } from "../support/packed.js";

// Layers that pass through a ring of slots give what layers that stay give, bit by bit.

const held = useDevice();
const { steps, models } = await goldenIndex();
const tiny = await checkpointFiles(TINY);
const SLOW_TEST_MS = 600_000;

const opened: LlavaOneVision[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const model of opened.splice(0)) model.dispose();
});

async function load(options: LoadOptions = {}, files = tiny): Promise<LlavaOneVision> {
  const model = await LlavaOneVision.load(files, { device: held.device, ...options });
  opened.push(model);
  return model;
}

/** Layers that are read while `work` runs, by their number. */
async function layersRead(work: () => Promise<unknown>): Promise<number[]> {
  const read = vi.spyOn(WeightLoader.prototype, "loadLayer");
  try {
    await work();
    return read.mock.calls.map(([{ requests }]) => Number(/layers\.(\d+)\./.exec(requests[0]!.name)![1]));
  } finally {
    read.mockRestore();
  }
}

describe.each(Object.entries(models))("golden cases of %s", (folder, cases) => {
  test.each(smallCases(cases))(
    "%s",
    async (name) => {
      const model = await load({ weights: "stream" }, await checkpointFiles(`goldens/${folder}`));
      expect(model.internals.network.streams).toBe(true);
      expect(await goldenFaults(model, folder, name, steps)).toEqual([]);
    },
    SLOW_TEST_MS,
  );
});

test("answers alone and at once, with drafts, masks and logits, are those of layers that stay", async () => {
  const resident = await load();
  const truth = [];
  for (const asked of ASKED) truth.push(await answerOf(resident, asked));
  resident.dispose();
  const model = await load({ weights: "stream" });
  const alone = [];
  for (const asked of ASKED) alone.push(await answerOf(model, asked));
  expect(alone).toEqual(truth);
  const steps = vi.spyOn(Network.prototype, "passRows");
  expect(await Promise.all(ASKED.map((asked) => answerOf(model, asked)))).toEqual(truth);
  // Those with pictures come later: their tower streams too.
  expect(Math.max(...steps.mock.calls.map(([, sequences]) => new Set(sequences).size))).toBeGreaterThanOrEqual(3);
});

test("embeddings, attention and a second question are those of layers that stay", async () => {
  const all = async (model: LlavaOneVision): Promise<unknown> => {
    using session = model.createSession();
    const first = await session.generate(ASKED[1]!.input, { maxNewTokens: 8 }).result;
    const { media, textShare } = await session.attention({ layers: [0, 2, 3] });
    const second = await session.generate("And the colour?", { maxNewTokens: 8 }).result;
    const embedded = await model.embedText("A square and a star.");
    return { first: first.text, second: second.text, media, textShare, embedded, reused: second.usage.reusedTokens };
  };
  const resident = await load();
  const truth = await all(resident);
  resident.dispose();
  expect(await all(await load({ weights: "stream" }))).toEqual(truth);
});

test("a LoRA adapter kept apart from layers that stream, and one merged while they are read", async () => {
  const folder = "hf-05b-like";
  const files = await checkpointFiles(`goldens/${folder}`);
  const from = await adapterFiles(folder);
  for (const options of [
    { adapter: { from, name: "lora" } },
    { adapter: from, mergeAdapters: true, dtype: "f32" },
  ] as const) {
    const resident = await load(options, files);
    const truth = await answerOf(resident, ASKED[0]!);
    resident.dispose();
    const model = await load({ ...options, weights: "stream" }, files);
    expect(await answerOf(model, ASKED[0]!)).toEqual(truth);
    model.dispose();
  }
});

test("layers of a packed checkpoint stream as they are, and their hashes are checked once", async () => {
  const packed = await packedFiles(tiny, { dtype: "q4" });
  const resident = await load({}, packed);
  const truth = await answerOf(resident, ASKED[0]!);
  resident.dispose();
  const hashes = vi.spyOn(LayerHash.prototype, "hex");
  const model = await load({ weights: "stream" }, packed);
  const run = vi.spyOn(Device.prototype, "run");
  expect(await answerOf(model, ASKED[0]!)).toEqual(truth);
  expect(run).toHaveBeenCalled();
  // Rows of the embedding table are.
  expect(run.mock.calls.filter(([{ name }, { source }]) => name === "pack" && source!.label !== "rows")).toEqual([]);
  const { length } = hashes.mock.calls;
  expect(await answerOf(model, ASKED[0]!)).toEqual(truth);
  expect(hashes.mock.calls.length).toBe(length);
  expect(length).toBeGreaterThanOrEqual(model.config.text.layers);
});

test.each(["stored", "packed"])(
  "with host memory for them the layers of a %s checkpoint are read once",
  async (form) => {
    const files = form === "packed" ? await packedFiles(tiny, { dtype: "q4" }) : tiny;
    const resident = await load({}, files);
    const truth = await answerOf(resident, ASKED[0]!);
    resident.dispose();
    const model = await load({ weights: "stream", hostBudget: 2 ** 30 }, files);
    expect(await answerOf(model, ASKED[0]!)).toEqual(truth);
    const { network } = model.internals;
    await network.prepare();
    const slice = vi.spyOn(Blob.prototype, "slice");
    expect(await answerOf(model, ASKED[0]!)).toEqual(truth);
    await network.prepare();
    // Rows of the embedding table are read by their ids.
    const rowBytes = 2 * model.config.text.width;
    const panelBytes = 32 * rowBytes;
    for (const [from, to] of slice.mock.calls) expect(to! - from!).toBeLessThanOrEqual(panelBytes);
  },
);

test("a prompt of several chunks reads each layer once", async () => {
  const model = await load({ weights: "stream" });
  const rows = vi.spyOn(model.internals.network, "rowsPerChunk", "get").mockReturnValue(16);
  using session = model.createSession();
  const input = "a square and a star. ".repeat(12);
  const read = await layersRead(async () => {
    await session.append(input);
    await model.internals.network.language.store.prepare();
  });
  expect((await session.measure("")).promptTokens).toBeGreaterThan(4 * 16);
  expect(rows).toHaveBeenCalled();
  // Those of the ring were ready, and are read again for the next pass.
  expect(read).toEqual([2, 3, 0, 1]);
});

test("an abort ends a pass within a layer", async () => {
  const model = await load({ weights: "stream" });
  using session = model.createSession();
  const forward = vi.spyOn(Qwen2Layer.prototype, "forward");
  const controller = new AbortController();
  const onProgress = ({ stage, done }: { stage: string; done: number }): void => {
    if (stage === "prefill" && done > 0) controller.abort();
  };
  const asked = session.generate("What do you see?", { maxNewTokens: 4, signal: controller.signal, onProgress });
  await expect(asked.result).rejects.toThrow(AbortedError);
  await held.device.sync();
  expect(forward).toHaveBeenCalledTimes(1);
  forward.mockClear();
  const { text } = await session.generate("What do you see?", { maxNewTokens: 4 }).result;
  expect(text).toBe((await model.createSession().generate("What do you see?", { maxNewTokens: 4 }).result).text);
});

test("an answer that is stopped leaves the steps of the others", async () => {
  const model = await load({ weights: "stream" });
  const truth = await answerOf(model, ASKED[0]!);
  const other = answerOf(model, ASKED[0]!);
  using session = model.createSession();
  const answer = session.generate("Name a colour.", LONG);
  for await (const _ of answer) break;
  session.dispose();
  expect(await other).toEqual(truth);
});

test("a model that is disposed while layers are read ends its answers, and frees all", async () => {
  const { device } = held;
  const model = await load({ weights: "stream" });
  const session = model.createSession();
  const onProgress = ({ stage }: { stage: string }): void => {
    if (stage === "prefill") queueMicrotask(() => model.dispose());
  };
  await expect(session.generate("What do you see?", { onProgress }).result).rejects.toThrow(DisposedError);
  await device.sync();
  expect(device.pool.liveBytes).toBe(0);
});

test("training with layers that stream is refused by name", async () => {
  const model = await load({ weights: "stream" });
  const train = model.train([
    {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ],
    },
  ]);
  const next = train.next();
  await expect(next).rejects.toThrow(OptionError);
  await expect(next).rejects.toThrow("one whose layers stream");
});
