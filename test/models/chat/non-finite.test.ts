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

test("embeddings that are not numbers name the intermediate as well", async () => {
  const { model, device } = held;
  const { language, vision } = model.internals.network;
  const picture = { data: new Uint8Array(3 * 20 * 20), width: 20, height: 20 };
  for (const [weight, name, embed] of [
    [language.layers[1]!.postNorm.weight, "blocks.1", () => model.embedText("red")],
    [language.norm.weight, "norm", () => model.embedText(["blue"], { pooling: "last" })],
    [vision.layers[2]!.norm1.weight, "vision.blocks.2", () => model.embedImage(picture)],
  ] as const) {
    const before = await weight.read();
    device.write(weight, new Float32Array(weight.length).fill(Number.NaN));
    const live = device.pool.liveBytes;
    await expect(embed()).rejects.toThrow(`intermediate \`${name}\`: expected numbers, got NaN or infinity`);
    expect(device.pool.liveBytes).toBe(live);
    device.write(weight, before);
  }
});
