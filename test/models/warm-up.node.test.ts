import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { warmUp } from "../../src/models/warm-up.js";
import { TINY_FOLDER } from "../support/damaged.js";

let model: LlavaOneVision;
beforeAll(async () => {
  model = await LlavaOneVision.load(TINY_FOLDER);
});
afterAll(() => model?.dispose());

test("after warm-up an answer compiles nothing, and warm-up allocates no memory", async () => {
  const { device } = model;
  const ahead = vi.spyOn(device.gpu, "createComputePipelineAsync");
  const onUse = vi.spyOn(device.gpu, "createComputePipeline");
  const { dispatches } = device.counters;
  const { liveBytes, peakBytes } = device.pool;
  for (let round = 0; round < 2; round++) warmUp(model.internals.network, model.internals.cacheType);
  await device.prepared();
  expect([device.pool.liveBytes, device.pool.peakBytes]).toEqual([liveBytes, peakBytes]);
  expect(device.counters.dispatches).toBe(dispatches);
  const texts = ahead.mock.calls.length;
  expect(texts).toBeGreaterThan(10);
  warmUp(model.internals.network, model.internals.cacheType);
  expect(ahead).toHaveBeenCalledTimes(texts);

  const session = model.createSession();
  const { text } = await session.generate([
    {
      role: "user",
      content: [
        { type: "image", image: join(TINY_FOLDER, "examples/00-shapes.png") },
        { type: "text", text: "What do you see?" },
      ],
    },
  ]).result;
  expect(text).toBe("An orange square at the top left.");
  expect(onUse).toHaveBeenCalledTimes(0);
});
