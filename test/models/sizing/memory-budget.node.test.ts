import { afterEach, expect, test, vi } from "vitest";
import { OptionError, OverBudgetError } from "../../../src/base/errors.js";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import { LlavaOneVision, type LoadOptions } from "../../../src/models/llava-onevision.js";
import { estimate } from "../../../src/models/sizing/estimate.js";
import { LEAST_PLAN } from "../../../src/models/sizing/footprint.js";
import { planWithin } from "../../../src/models/sizing/memory-budget.js";
import { Pool } from "../../../src/runtime/pool.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { testPicture } from "../../support/pixels.js";

// Budgets below a model's weights: layers stream, and the bytes on the device stay within the budget.

const files = await checkpointFiles(TINY);
/** A question that fills what the estimate assumes but for a few rows. */
const USE = { contextTokens: 512, visionCacheBytes: 0 };
const TILES = 2;
const QUESTION = [
  { type: "video", frames: [testPicture(40, 60), testPicture(41, 60)] },
  { type: "text", text: "a square and a star. ".repeat(30) },
] as const;

const opened: LlavaOneVision[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const model of opened.splice(0)) model.dispose();
});

async function load(options: LoadOptions): Promise<LlavaOneVision> {
  const model = await LlavaOneVision.load(files, { ...USE, ...options });
  opened.push(model);
  return model;
}

/** The error of loading within `bytes`, and the bytes that it says are needed. */
async function refusal(bytes: number): Promise<OverBudgetError> {
  const cause: unknown = await load({ memoryBudget: { bytes, tiles: TILES }, weights: "auto" }).catch((error) => error);
  if (cause instanceof OverBudgetError) return cause;
  throw cause;
}

test("the answer within any budget is that of the resident model, and the device has at most the budget", async () => {
  const acquire = Pool.prototype.acquire;
  let peak = 0;
  vi.spyOn(Pool.prototype, "acquire").mockImplementation(function (this: Pool, ...given) {
    const block = acquire.apply(this, given);
    peak = Math.max(peak, this.reservedBytes);
    return block;
  });
  const { totalBytes } = await estimate(files, { ...USE, tiles: TILES });
  const least = (await refusal(1)).neededBytes;
  expect(least).toBeLessThan(totalBytes);
  const answers: string[] = [];
  const resident: number[] = [];
  for (const budget of [totalBytes, Math.ceil((least + totalBytes) / 2), least]) {
    const model = await load({ memoryBudget: { bytes: budget, tiles: TILES }, weights: "auto" });
    const { store } = model.internals.network.language;
    resident.push(store.resident);
    expect(store.streams).toBe(budget < totalBytes);
    peak = model.device.pool.reservedBytes;
    using session = model.createSession();
    const { text, usage } = await session.generate(QUESTION, { maxNewTokens: 8 }).result;
    expect(usage.tiles).toBe(TILES);
    answers.push(`${text} ${(await session.generate("What else?", { maxNewTokens: 8 }).result).text}`);
    expect(peak).toBeLessThanOrEqual(budget);
    expect(peak).toBeGreaterThan(0.7 * budget);
    model.dispose();
  }
  expect(new Set(answers).size).toBe(1);
  expect(resident[0]).toBe(4);
  expect(resident.at(-1)).toBe(0);
});

test("a budget that is too small says the least that works", async () => {
  const { neededBytes } = await refusal(1);
  const error = await refusal(neededBytes - 1);
  expect(error).toMatchObject({ neededBytes, budgetBytes: neededBytes - 1 });
  expect(error.message).toContain("weights without those that stream");
  expect(error.fault.remedy).toMatch(/^with dtype "f16"|^with cacheDtype "f16"/);
  await load({ memoryBudget: { bytes: neededBytes, tiles: TILES }, weights: "stream" });
});

test("a budget that only layers that stream keep to is refused with their option where all are to stay", async () => {
  const { neededBytes } = await refusal(1);
  const resident = await load({ memoryBudget: { bytes: neededBytes, tiles: TILES } }).catch((error) => error);
  expect(resident).toBeInstanceOf(OverBudgetError);
  expect(resident.fault.remedy).toMatch(/; or with weights "auto": layers that do not fit stream$/);
  const less = await load({ memoryBudget: { bytes: neededBytes - 1, tiles: TILES } }).catch((error) => error);
  expect(less.fault.remedy).not.toContain("stream");
});

test("without a budget all layers stream or none", async () => {
  const cacheRows = undefined;
  expect(await planWithin(files, undefined, "stream", {})).toEqual({ plan: LEAST_PLAN, cacheRows });
  expect(await planWithin(files, undefined, "auto", {})).toEqual({ plan: undefined, cacheRows });
  await expect(load({ weights: "disk" as "stream" })).rejects.toThrow(OptionError);
  await expect(load({ weights: "disk" as "stream" })).rejects.toThrow(
    'weights: expected "auto" or "resident" or "stream"',
  );
});

test("host memory is for layers that stream", async () => {
  const { plan } = await planWithin(files, undefined, "stream", { hostBudget: 1000 });
  expect(plan).toMatchObject({ resident: 0, hostCache: { mostBytes: 1000 } });
  await expect(load({ hostBudget: 1000 })).rejects.toThrow('hostBudget: expected weights "auto" or "stream" beside it');
  await expect(load({ weights: "stream", hostBudget: -1 })).rejects.toThrow("hostBudget: expected a number of bytes");
});

test("a budget for everything leaves a layer to stream where that is asked for", async () => {
  const { plan } = await planWithin(files, 2 ** 40, "stream", {});
  expect(plan).toEqual({ resident: 1, slots: 2 });
  expect((await planWithin(files, 2 ** 40, "auto", {})).plan).toBeUndefined();
});

test("a budget has room for the rows of one session, and for more where bytes are left", async () => {
  const { totalBytes, cacheBytes } = await estimate(files, { ...USE, tiles: TILES });
  const rowsOf = async (bytes: number) => (await planWithin(files, { bytes, tiles: TILES }, "resident", USE)).cacheRows;
  expect(await rowsOf(totalBytes)).toBe(USE.contextTokens);
  expect(await rowsOf(totalBytes + 2 * cacheBytes)).toBe(3 * USE.contextTokens);
});

test("a prompt that does not fit the budget beside another session's waits before its pictures are encoded", async () => {
  const contextTokens = 256;
  const { totalBytes } = await estimate(files, { ...USE, contextTokens, tiles: TILES });
  const model = await load({ contextTokens, memoryBudget: { bytes: totalBytes, tiles: TILES } });
  const { kvPool, network } = model.internals;
  const tiles: number[] = [];
  const project = network.project.bind(network);
  vi.spyOn(network, "project").mockImplementation((bytes, count) => {
    tiles.push(count);
    return project(bytes, count);
  });
  const ask = async (options: GenerateOptions = {}) => {
    using session = model.createSession();
    return await session.generate(QUESTION, { maxNewTokens: 8, minNewTokens: 8, ...options }).result;
  };
  const alone = await ask();
  tiles.length = 0;
  let rows = 0;
  let before: number[] | undefined;
  const first = ask({
    onProgress: ({ stage, done }) => {
      rows = Math.max(rows, kvPool.rows);
      if (stage === "decode" && done === 8) before = [...tiles];
    },
  });
  const all = await Promise.all([first, ask()]);
  expect(all.map(({ text }) => text)).toEqual([alone.text, alone.text]);
  expect(kvPool.preemptions).toBeGreaterThan(0);
  expect(rows).toBeLessThanOrEqual(contextTokens);
  // The tiles of one of them until the end of its answer.
  expect(before).toEqual([TILES]);
});
