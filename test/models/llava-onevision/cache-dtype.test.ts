import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { LlavaOneVision, type LoadOptions } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../../support/device.js";
import { answerOf, exampleOf, messagesOf } from "../../support/examples.js";

// Answers whose keys and values are held in fewer bits.

const files = await checkpointFiles(TINY);
let device: Device;
beforeAll(async () => {
  device = await sharedDevice();
});
afterAll(() => checkGivenBack(device));

const load = (cacheDtype: unknown) => LlavaOneVision.load(files, { device, cacheDtype } as LoadOptions);

/** Bytes of the cache after a question. */
async function cacheBytes(model: LlavaOneVision): Promise<number> {
  // Free blocks may be a little larger than what gets them.
  await device.sync();
  device.pool.trim();
  const before = device.pool.liveBytes;
  const session = model.createSession();
  await session.generate([{ role: "user", content: "Hello" }], { maxNewTokens: 2 }).result;
  const bytes = device.pool.liveBytes - before;
  session.dispose();
  expect(device.pool.liveBytes).toBe(before);
  return bytes;
}

describe.each([
  ["f16", 0.5],
  ["q8", 8.5 / 32],
] as const)("a cache in %s", (type, share) => {
  test("answers as the reference does and takes less memory", async () => {
    const whole = await load("auto");
    const model = await load(type);
    expect([whole.internals.cacheType, model.internals.cacheType]).toEqual(["f32", type]);
    for (const file of ["00-shapes.png", "09-pair-1.png"]) {
      const example = exampleOf(file);
      for (const turn of example.turns) {
        expect(await answerOf(model, await messagesOf(example, turn)), turn.question).toEqual(turn.reference_tokens);
      }
    }
    const ratio = (await cacheBytes(model)) / (await cacheBytes(whole));
    expect(ratio).toBeGreaterThanOrEqual(share);
    expect(ratio).toBeLessThan(share * 1.1);
    whole.dispose();
    model.dispose();
  });
});

test("an unknown type is refused", async () => {
  for (const type of ["bf16", "q4", 16, null]) await expect(load(type)).rejects.toThrow(OptionError);
  expect(device.pool.liveBytes).toBe(0);
});
