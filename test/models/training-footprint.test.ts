import { expect, test } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { TrainingFootprint } from "../../src/models/training-options.js";
import type { TrainingRecord } from "../../src/training/samples.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";

const DATA: TrainingRecord[] = [
  {
    messages: [
      { role: "user", content: "Hello" },
      { role: "assistant", content: [{ type: "tokens", tokens: [5] }] },
    ],
  },
];

test("the estimate counts the trained weights, and all but a few per cent of the memory that a step takes", async () => {
  const device = await sharedDevice({ features: "all" });
  device.pool.trim();
  const files = await checkpointFiles("goldens/hf-05b-like");
  const model = await LlavaOneVision.load(files, { device, dtype: "f32" });
  const all: TrainingFootprint[] = [];
  const options = {
    train: "all",
    steps: 1,
    onEstimate: (footprint: TrainingFootprint) => void all.push(footprint),
  } as const;
  for await (const _ of model.train(DATA, options)) break;
  const [found] = all as [TrainingFootprint];
  const { parameters } = await LlavaOneVision.estimate(files);
  expect(found.trained).toBe(parameters);
  // Gradients and two moments.
  expect(found.trainedBytes).toBeGreaterThan(12 * parameters);
  expect(found.totalBytes).toBe(found.weightsBytes + found.trainedBytes + found.activationBytes);
  expect(device.pool.reservedBytes).toBeGreaterThan(0.9 * found.totalBytes);
  expect(device.pool.reservedBytes).toBeLessThan(1.1 * found.totalBytes);
  model.dispose();
});
