import { afterAll, afterEach, describe, expect, test } from "vitest";
import { AbortedError, CheckpointError, LimitError, OptionError, OverBudgetError } from "../../../src/base/errors.js";
import { KVCache } from "../../../src/layers/kv-cache.js";
import type { ChatMessage } from "../../../src/models/llava-onevision/processor.js";
import { LlavaOneVision, type LoadOptions } from "../../../src/models/llava-onevision.js";
import { type EstimateOptions, estimate } from "../../../src/models/sizing/estimate.js";
import { Device } from "../../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { checkGivenBack, useDevice } from "../../support/device.js";
import { testPicture } from "../../support/pixels.js";

// What a model will take, found without an adapter, against what it takes on one.

const files = await checkpointFiles(TINY);
const held = useDevice();

describe("weights", () => {
  // Less than the largest matrices, and more than the pool rounds others up to.
  const small = useDevice({ maxBindingBytes: 768 * 1024 });

  test.each<[string, LoadOptions["dtype"]]>([
    ["auto", "auto"],
    ["f32", "f32"],
    ["f16", "f16"],
    ["bf16", "bf16"],
    ["q8", "q8"],
    ["q4", "q4"],
    ["by part", { vision: "q8", language: "q4", embed: "f32" }],
  ])("%s: to the byte, in whole bindings and in pieces", async (_, dtype = "auto") => {
    for (const { device } of [held, small]) {
      const { weights, weightsBytes } = await estimate(files, { dtype, device });
      const model = await LlavaOneVision.load(files, { dtype, device });
      expect(weightsBytes).toBe(device.pool.liveBytes);
      const { table } = model.internals.network.language.embedding;
      expect(weights.embed).toBeGreaterThanOrEqual(table.sizeBytes);
      expect(weights.projector).toBeGreaterThanOrEqual(model.internals.network.projector.linear1.weight.sizeBytes);
      expect(weights.vision + weights.projector + weights.language + weights.embed).toBe(weightsBytes);
      model.dispose();
      // Without free blocks, which the next weights would get although they are a little larger.
      await checkGivenBack(device);
    }
  });

  test("of a shorter context, whose tables are shorter", async () => {
    const { device } = held;
    const { weightsBytes } = await estimate(files, { contextTokens: 256, device });
    const model = await LlavaOneVision.load(files, { contextTokens: 256, device });
    expect(weightsBytes).toBe(device.pool.liveBytes);
    expect(weightsBytes).toBeLessThan((await estimate(files, { device })).weightsBytes);
    model.dispose();
  });

  test("parameters and files", async () => {
    const { parameters, download } = await estimate(files);
    expect(parameters).toBe(5_063_632);
    expect(download).toEqual({ totalBytes: files.reduce((sum, file) => sum + file.size, 0), missingBytes: 0 });
  });
});

test.each(["f32", "f16", "q8"] as const)("a cache in %s", async (cacheDtype) => {
  const { device } = held;
  const { cacheBytes } = await estimate(files, { cacheDtype, contextTokens: 1000 });
  const model = await LlavaOneVision.load(files, { device });
  const { layers, keyValueHeads, headSize } = model.config.text;
  const before = device.pool.liveBytes;
  const cache = new KVCache(device, layers, keyValueHeads * headSize, cacheDtype, 1000);
  cache.reserve(1000);
  expect(cacheBytes).toBe(device.pool.liveBytes - before);
  cache.dispose();
  model.dispose();
});

describe("activations", () => {
  const photograph: ChatMessage["content"] = [{ type: "image", image: testPicture(252, 252) }];
  const clip: ChatMessage["content"] = [
    { type: "video", frames: Array.from({ length: 8 }, (_, i) => testPicture(40 + i, 60)) },
  ];
  const words: ChatMessage["content"] = "a square and a star. ".repeat(90);

  test.each<[string, ChatMessage["content"], number]>([
    ["a photograph", photograph, 5],
    ["a clip", clip, 8],
    ["text", words, 0],
  ])("%s takes at most what is estimated, and a twentieth less at most", async (_, content, tiles) => {
    const { device } = held;
    // A prompt that fills the context but for a few words.
    const probe = await LlavaOneVision.load(files, { device });
    const text: ChatMessage = { role: "user", content };
    const { inputIds, media } = await probe.internals.processor.prepare([text]);
    expect(media.reduce((sum, medium) => sum + medium.tileCount, 0)).toBe(tiles);
    probe.dispose();
    const contextTokens = inputIds.length + 8;
    const e = await estimate(files, { device, contextTokens, tiles });
    const model = await LlavaOneVision.load(files, { device, contextTokens });
    device.pool.trim();
    device.pool.peakBytes = device.pool.liveBytes;
    const session = model.createSession();
    const { usage } = await session.generate([text], { maxNewTokens: 6 }).result;
    expect(usage.tiles).toBe(tiles);
    const { weightsBytes, cacheBytes, visionCacheBytes, activationBytes, totalBytes } = e;
    const peak = device.pool.peakBytes - weightsBytes - cacheBytes;
    const reserved = device.pool.reservedBytes - weightsBytes - cacheBytes;
    expect(activationBytes).toBeGreaterThanOrEqual(Math.max(peak, reserved));
    expect(activationBytes).toBeLessThanOrEqual(1.05 * Math.max(peak, reserved));
    expect(totalBytes).toBe(weightsBytes + cacheBytes + visionCacheBytes + activationBytes);
    session.dispose();
    model.dispose();
  });

  test("more tiles and a longer context take more", async () => {
    const takes = async (options: EstimateOptions) => (await estimate(files, options)).activationBytes;
    expect(await takes({ tiles: 5 })).toBeGreaterThan(await takes({ tiles: 0 }));
    expect(await takes({ tiles: 37 })).toBeGreaterThan(await takes({ tiles: 5 }));
    expect(await takes({ tiles: 5 })).toBeGreaterThan(await takes({ tiles: 5, contextTokens: 512 }));
    // A picture whose visual tokens are more than the context has cannot be asked about.
    expect(await estimate(files, { contextTokens: 100 })).toMatchObject({ tiles: 3, visualTokens: 76 });
    expect(await estimate(files, { contextTokens: 20 })).toMatchObject({ tiles: 0, visualTokens: 0 });
  });
});

test("limits: what is needed is enough, and less is not", async () => {
  const options = { contextTokens: 256, tiles: 0 };
  const { limits, features } = await estimate(files, options);
  const { maxStorageBufferBindingSize: needed } = limits;
  expect(limits.maxBufferSize).toBe(needed);
  expect(features.needed).toEqual([]);
  const answer = async (maxBindingBytes: number): Promise<number> => {
    const device = await Device.open({ maxBindingBytes });
    try {
      const model = await LlavaOneVision.load(files, { device, contextTokens: 256 });
      const running = model.createSession().generate([{ role: "user", content: "What?" }], { maxNewTokens: 1 });
      return (await running.result).tokens.length;
    } finally {
      device.dispose();
    }
  };
  expect(await answer(needed)).toBeGreaterThan(0);
  await expect(answer(needed - 4)).rejects.toThrow(LimitError);
  // Pictures take more, and a device that is given may allow less: what is needed is said all the same.
  const device = await Device.open({ maxBindingBytes: needed });
  expect((await estimate(files, { device })).limits.maxBufferSize).toBeGreaterThan(needed);
  device.dispose();
});

describe("a memory budget", () => {
  afterEach(() => expect(held.device.pool.liveBytes).toBe(0));
  const load = (memoryBudget: LoadOptions["memoryBudget"], options: LoadOptions = {}) =>
    LlavaOneVision.load(files, { device: held.device, memoryBudget, ...options });
  /** The options that a message names. */
  const named = (message: string): Pick<LoadOptions, "dtype" | "cacheDtype" | "contextTokens" | "visionCacheBytes"> => {
    const [, quoted] = /dtype "(\w+)"/.exec(message) ?? [];
    const [, parts] = /dtype (\{.*?\})/.exec(message) ?? [];
    const [, cache] = /cacheDtype "(\w+)"/.exec(message) ?? [];
    const [, kept] = /visionCacheBytes (\d+)/.exec(message) ?? [];
    const [, tokens] = /contextTokens (\d+)/.exec(message) ?? [];
    const dtype = quoted ?? (parts && JSON.parse(parts.replace(/(\w+):/g, '"$1":')));
    return {
      ...(dtype && { dtype }),
      ...(cache && { cacheDtype: cache }),
      ...(tokens && { contextTokens: +tokens }),
      ...(kept && { visionCacheBytes: +kept }),
    };
  };

  test("is respected, or rejected with the numbers and the nearest setting, which then loads", async () => {
    const { totalBytes } = await estimate(files, { device: held.device });
    (await load(totalBytes)).dispose();
    const said: string[] = [];
    for (let budget = totalBytes - 1, tries = 0; tries < 20; tries++) {
      const error: unknown = await load(budget).then(
        (model) => model.dispose(),
        (cause) => cause,
      );
      if (!(error instanceof OverBudgetError)) throw error;
      expect(error).toMatchObject({ code: "OVER_BUDGET", budgetBytes: budget, neededBytes: totalBytes });
      expect(error.message).toMatch(
        /expected at most [\d.]+ MiB .* weights [\d.]+ MiB, cache .* MiB, vision cache 256\.0 MiB, activations with 37 tiles .* MiB/,
      );
      said.push(error.fault.remedy);
      if (error.fault.remedy.startsWith("no setting fits")) break;
      const setting = named(error.fault.remedy);
      const needed = (await estimate(files, { device: held.device, ...setting })).totalBytes;
      expect(needed).toBeLessThanOrEqual(budget);
      if (tries < 3) (await load(budget, setting)).dispose();
      budget = needed - 1;
    }
    expect(said[0]).toMatch(/^with visionCacheBytes 0 it needs/);
    expect(said.some((remedy) => remedy.includes('dtype "q8"'))).toBe(true);
    expect(said.some((remedy) => remedy.includes("contextTokens 1024"))).toBe(true);
    expect(said.at(-1)).toMatch(
      /^no setting fits: even with visionCacheBytes 0, dtype "q4", cacheDtype "q8", contextTokens 1024 it needs/,
    );
  });

  test("of smaller pictures", async () => {
    const { totalBytes } = await estimate(files, { device: held.device, tiles: 1 });
    (await load({ bytes: totalBytes, tiles: 1 })).dispose();
    await expect(load({ bytes: totalBytes - 1, tiles: 1 })).rejects.toThrow(/activations with 1 tiles/);
    await expect(load({ bytes: totalBytes, tiles: 2 })).rejects.toThrow(OverBudgetError);
  });

  test("does not ask for more bits than are given", async () => {
    const options = { dtype: { language: "q4", vision: "q4" }, cacheDtype: "q8" } as const;
    const error = await load(45e6, options).catch((cause: Error) => cause);
    expect(error).toBeInstanceOf(OverBudgetError);
    expect((error as Error).message).not.toMatch(/language: "q8"|vision: "q8"|cacheDtype/);
    await expect(load(0)).rejects.toThrow(OptionError);
    await expect(load({ bytes: 1, tile: 3 } as LoadOptions["memoryBudget"])).rejects.toThrow("did you mean `tiles`?");
    await expect(load(Number.NaN)).rejects.toThrow(OptionError);
  });
});

test("wrong options and checkpoints are refused as loading refuses them", async () => {
  const refused = (options: object) => expect(estimate(files, options as EstimateOptions)).rejects;
  await refused({ dtypes: "q4" }).toThrow("did you mean `dtype`?");
  await refused({ dtype: "q5" }).toThrow(OptionError);
  await refused({ cacheDtype: "q4" }).toThrow(OptionError);
  await refused({ tiles: -1 }).toThrow(OptionError);
  await refused({ contextTokens: 4097 }).toThrow(/contextTokens: expected a whole number from 1 to 4096/);
  await refused({ contextTokens: 0 }).toThrow(OptionError);
  await refused({ signal: AbortSignal.abort() }).toThrow(AbortedError);
  const without = files.filter(({ name }) => name !== "config.json");
  await expect(estimate(without)).rejects.toThrow(CheckpointError);
  await expect(LlavaOneVision.load(files, { contextTokens: 4097 })).rejects.toThrow(OptionError);
});

test("the model's own name for it", async () => {
  expect(await LlavaOneVision.estimate(files, { tiles: 1 })).toEqual(await estimate(files, { tiles: 1 }));
});

afterAll(() => expect(held.device.pool.liveBytes).toBe(0));
