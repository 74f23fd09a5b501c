import { expect, test } from "vitest";
import { KernelError } from "../../../src/base/errors.js";
import type { Tensor } from "../../../src/runtime/tensor.js";
import { ANSWER, question } from "../../support/square.js";
import { useTiny } from "../../support/tiny-model.js";

const held = useTiny();

/** Asks while a weight is NaN. */
async function askWith(weight: Tensor): Promise<unknown> {
  const before = await weight.read();
  held.device.write(weight, new Float32Array(weight.length).fill(Number.NaN));
  const session = held.model.createSession();
  const fault = await session.generate(question).result.catch((cause: unknown) => cause);
  held.device.write(weight, before);
  session.dispose();
  return fault;
}

test("logits that are not numbers name the intermediate where that began", async () => {
  const { language, vision, projector } = held.model.internals.network;
  const live = held.device.pool.liveBytes;
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
    expect(held.device.pool.liveBytes).toBe(live);
  }
  const session = held.model.createSession();
  expect((await session.generate(question).result).text).toBe(ANSWER);
  session.dispose();
});
