import { afterAll, beforeAll, expect, test } from "vitest";
import { KernelError } from "../../../src/base/errors.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import type { Tensor } from "../../../src/runtime/tensor.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../../support/device.js";
import { ANSWER, question } from "../../support/square.js";

let device: Device;
let model: LlavaOneVision;
beforeAll(async () => {
  device = await sharedDevice();
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device });
});
afterAll(async () => {
  model.dispose();
  await checkGivenBack(device);
});

/** Asks while a weight is NaN. */
async function askWith(weight: Tensor): Promise<unknown> {
  const before = await weight.read();
  device.write(weight, new Float32Array(weight.length).fill(Number.NaN));
  const session = model.createSession();
  const fault = await session.generate(question).result.catch((cause: unknown) => cause);
  device.write(weight, before);
  session.dispose();
  return fault;
}

test("logits that are not numbers name the intermediate where that began", async () => {
  const { language, vision, projector } = model.internals.network;
  const live = device.pool.liveBytes;
  for (const [weight, name] of [
    [language.layers[1]!.postNorm.weight, "blocks.1"],
    [language.norm.weight, "norm"],
    [vision.layers[2]!.norm1.weight, "vision.blocks.2"],
    [projector.linear1.bias!, "projector"],
  ] as const) {
    const fault = await askWith(weight);
    expect(fault).toBeInstanceOf(KernelError);
    expect((fault as KernelError).message).toContain(`intermediate \`${name}\`: expected numbers, got NaN or infinity`);
    expect((fault as KernelError).cause).toBeInstanceOf(KernelError);
    expect(device.pool.liveBytes).toBe(live);
  }
  const session = model.createSession();
  expect((await session.generate(question).result).text).toBe(ANSWER);
  session.dispose();
});
