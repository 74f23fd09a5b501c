import { afterEach, beforeAll, expect, test } from "vitest";
import { OptionError, PromptError } from "../../../src/base/errors.js";
import { cosineSimilarity } from "../../../src/models/chat/cosine-similarity.js";
import type { Tap } from "../../../src/models/chat/taps.js";
import type { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { expectClose } from "../../support/compare.js";
import { exampleFile } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

// Vectors of pictures, clips and texts are the intermediates of an answer, which the goldens check.

const square = await exampleFile("00-shapes.png");
const star = await exampleFile("01-shapes.png");

const held = useTiny();
let device: Device;
let model: LlavaOneVision;
let weights: number;
beforeAll(() => {
  ({ device, model, weights } = held);
});
afterEach(() => expect(device.pool.liveBytes).toBe(weights));

async function tapsOf(content: Parameters<ReturnType<typeof model.createSession>["generate"]>[0]) {
  using session = model.createSession();
  let taps: Tap[] = [];
  const answer = session.generate(content, {
    maxNewTokens: 1,
    onTaps: (found) => {
      taps = found;
    },
  });
  await answer.result;
  return (name: string) => taps.find((tap) => tap.name === name)!.data;
}

const unit = (vector: Float32Array) => vector.map((x) => x / Math.hypot(...vector));

test("the visual tokens and features of a picture", async () => {
  const tap = await tapsOf([
    { type: "image", image: square },
    { type: "text", text: "What?" },
  ]);
  const { rows, shape, embedding } = await model.embedImage(square, { of: "tokens" });
  expect(shape).toEqual([171, model.config.text.width]);
  expectClose(rows, tap("packed"), "tap", "packed");
  expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
  const features = await model.embedImage(square, { normalise: false });
  expect(features.shape).toEqual([2 * model.config.vision.cells ** 2, model.config.vision.width]);
  const means = features.embedding.map((_, column) => {
    let sum = 0;
    for (let i = column; i < features.rows.length; i += features.shape[1]) sum += features.rows[i]!;
    return sum / features.shape[0];
  });
  expectClose(features.embedding, means, "tap", "mean");
});

test("a clip has a row for each visual token", async () => {
  const { shape } = await model.embedVideo({ frames: [square, star] }, { of: "tokens" });
  expect(shape).toEqual([2 * 25 + 1, model.config.text.width]);
});

test("the same picture is nearest to itself, and another one is clearly apart", async () => {
  const vectors = [];
  for (const picture of [square, star, square]) vectors.push((await model.embedImage(picture)).embedding);
  const [a, b, c] = vectors as [Float32Array, Float32Array, Float32Array];
  expect(cosineSimilarity(a, c)).toBeCloseTo(1, 5);
  // 0.60: other colours and shapes.
  expect(cosineSimilarity(a, b)).toBeLessThan(0.7);
});

test("hidden states of a text", async () => {
  const prompt = await model.internals.processor.prepare([{ role: "user", content: "Hello!" }]);
  const norm = (await tapsOf("Hello!"))("norm");
  const { width } = model.config.text;
  const last = await model.embedText(prompt.text, { pooling: "last", normalise: false, specialTokens: "parse" });
  expectClose(last, norm.slice(-width), "tap", "norm");
  const [mean, again] = await model.embedText([prompt.text, prompt.text], { specialTokens: "parse" });
  const sums = new Float32Array(width);
  for (let i = 0; i < norm.length; i++) sums[i % width]! += norm[i]!;
  expectClose(mean!, unit(sums), "tap", "mean");
  expect(again).toEqual(mean);
});

test("invalid inputs are rejected, and an abort frees all memory", async () => {
  await expect(model.embedText("")).rejects.toThrow(PromptError);
  await expect(model.embedText("a", { pooling: "max" as never })).rejects.toThrow(OptionError);
  await expect(model.embedImage(square, { kind: "tokens" } as object)).rejects.toThrow(OptionError);
  const signal = AbortSignal.abort();
  await expect(model.embedText("a", { signal })).rejects.toMatchObject({ code: "ABORTED" });
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  const running = model.embedImage(square, { signal: controller.signal, onProgress });
  await expect(running).rejects.toMatchObject({ code: "ABORTED" });
});
