import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { warmUp, warmUpShared } from "../../src/models/warm-up.js";
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

test("after the warm-up of shared steps, sequences that generate at once compile nothing", async () => {
  const { device, internals } = model;
  const ahead = vi.spyOn(device.gpu, "createComputePipelineAsync");
  const onUse = vi.spyOn(device.gpu, "createComputePipeline");
  const { dispatches } = device.counters;
  const { liveBytes } = device.pool;
  const before = ahead.mock.calls.length;
  warmUpShared(internals.network, internals.cacheType, 4);
  await device.prepared();
  expect(device.pool.liveBytes).toBe(liveBytes);
  expect(device.counters.dispatches).toBe(dispatches);
  expect(ahead.mock.calls.length).toBeGreaterThan(before);
  // Prompts that begin differently: each is computed with the kernels of long ones.
  const ask = (name: string) => {
    const session = model.createSession({ system: `${name} ${"answers in few words. ".repeat(16)}` });
    const { result } = session.generate("Who are you?", { maxNewTokens: 8, drafts: false });
    return result.finally(() => session.dispose());
  };
  await ask("Nobody");
  const compiled = onUse.mock.calls.length;
  const steps = vi.spyOn(internals.network, "stepAll");
  await Promise.all(["Ann", "Bob", "Cleo", "Dan"].map(ask));
  expect(Math.max(...steps.mock.calls.map(([ids]) => ids.length))).toBeGreaterThan(2);
  expect(onUse).toHaveBeenCalledTimes(compiled);
});
