import { expect, test } from "vitest";
import { GEOMETRY_72B, modelTensors } from "../../src/bench/geometries.js";
import { heldMatrix, qwen2Layer } from "../../src/bench/reference/layers.js";
import { matmul } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { syntheticIndex } from "../../src/bench/synthetic.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { WeightLoader } from "../../src/layers/weights.js";
import type { TextConfig } from "../../src/models/llava-onevision/config.js";
import { Qwen2 } from "../../src/models/llava-onevision/qwen2.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { relativeError } from "../support/compare.js";
import { useDevice } from "../support/device.js";

// Layers of the 72B model with random weights in 4 bits, streamed through one slot, against the float64 loop over the same dequantised
// weights. A whole layer is 877 million weights: OCELLUS_LARGE_LAYERS=1 runs two of them with both tables, which takes minutes and 8 GB of
// memory. Otherwise one of the widths is the model's, and the others are small.

const isLarge = process.env.OCELLUS_LARGE_LAYERS === "1";
const held = useDevice();
const { text } = GEOMETRY_72B;
const TWO = { ...text, layers: 2, maxPositions: 64 };
/** Largest error, relative to the largest magnitude. */
const ALLOWED = 2e-3;
const SLOW_TEST_MS = 1_800_000;

/** A decoder of two layers, of which one is on the device at a time. */
async function decoder(sizes: TextConfig) {
  const { device } = held;
  const tensors = new Map(
    [...modelTensors({ ...GEOMETRY_72B, text: sizes })].filter(([name]) => name.startsWith("language_model.")),
  );
  const loader = new WeightLoader(device, syntheticIndex(tensors, "BF16"));
  const arena = device.arena("model");
  const root = loader.root().at("language_model").storedAs("q4");
  const model = root.at("model");
  const head = { weights: root, name: "lm_head" };
  const language = arena.run(() => new Qwen2(model, model, head, sizes, { resident: 0, slots: 1 }));
  loader.check("72B", () => false);
  await loader.load();
  const dispose = (): void => {
    language.store.close();
    arena.dispose();
  };
  return { language, dispose };
}

/** Compares each layer over each of the prompts, and the logits of some tokens, with the float64 loops. */
async function compare(sizes: TextConfig, prompts: readonly Uint32Array[]): Promise<void> {
  const { device } = held;
  const { language, dispose } = await decoder(sizes);
  const { store, norm, head, embedding } = language;
  expect(store.slots.length).toBe(1);
  const owner = device.arena("test");
  const states: { ids: Uint32Array; cache: KVCache; x: Tensor; truth: ArrayLike<number> }[] = [];
  for (const ids of prompts) {
    const cache = new KVCache(device, sizes.layers, sizes.keyValueHeads * sizes.headSize);
    cache.reserve(ids.length);
    const x = owner.run(() => device.scope(() => embedding.forward(device.upload(ids, [ids.length], "ids"))));
    states.push({ ids, cache, x, truth: await x.read() });
  }
  for (const [i, layer] of language.layers.entries()) {
    await store.ready(i);
    for (const state of states) {
      const { cache, ids, x } = state;
      state.x = owner.run(() => device.scope(() => layer.forward(x, [{ cache, rows: ids.length }])));
      state.truth = await qwen2Layer(state.truth, layer);
      const error = relativeError(await state.x.read(), state.truth);
      expect(error, `layer ${i}, ${ids.length} rows`).toBeLessThanOrEqual(ALLOWED);
    }
    store.used(i);
  }
  // Every 61st token: the head of the large model is 1.2 billion weights.
  const tokens = Array.from({ length: Math.floor(sizes.vocabulary / 61) }, (_, i) => 61 * i);
  const columns = await heldMatrix(head!.weight, tokens);
  for (const { ids, x, truth, cache } of states) {
    const logits = owner.run(() => device.scope(() => language.logits(language.normed(x))));
    const all = await logits.read();
    const normed = rmsNorm(truth, await norm.weight.read(), norm.epsilon);
    const wanted = matmul(normed, columns, ids.length, sizes.width, tokens.length);
    const got = Array.from(ids, (_, row) => tokens.map((token) => all[row * sizes.vocabulary + token]!)).flat();
    expect(relativeError(got, wanted), `logits, ${ids.length} rows`).toBeLessThanOrEqual(ALLOWED);
    cache.dispose();
  }
  owner.dispose();
  dispose();
}

/** Of one row and of a few, which have kernels of their own. */
const PROMPTS = [Uint32Array.of(7), Uint32Array.of(38, 69, 100)];

test.each<[string, Partial<TextConfig>]>([
  ["64 query and 8 key/value heads of 128", { width: 256, mlpWidth: 512, vocabulary: 1024 }],
  ["an MLP of 29,568", { width: 256, heads: 8, keyValueHeads: 1, vocabulary: 1024 }],
  ["a width of 8,192", { heads: 8, keyValueHeads: 1, mlpWidth: 256, vocabulary: 512 }],
  ["a vocabulary of 152,064", { width: 256, layers: 1, heads: 8, keyValueHeads: 1, mlpWidth: 512 }],
])("%s", (_, sizes) => compare({ ...TWO, ...sizes }, PROMPTS));

test.runIf(isLarge)(
  "two whole layers and both tables, one token",
  () => compare(TWO, [Uint32Array.of(7)]),
  SLOW_TEST_MS,
);
