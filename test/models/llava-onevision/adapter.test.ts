import { expect, test } from "vitest";
import { type TensorData, writeSafetensors } from "../../../src/io/safetensors.js";
import { savesProjector } from "../../../src/models/llava-onevision/adapter.js";
import { LlavaOneVision, type LoadOptions } from "../../../src/models/llava-onevision.js";
import { checkpointFiles } from "../../support/checkpoint.js";
import { sharedDevice } from "../../support/device.js";
import { testPicture } from "../../support/pixels.js";
import { random as seeded } from "../../support/random.js";

// Adapters made here for the checkpoint hf-05b-like: names of all dialects, the vision tower and the projector, and what is refused.

const CONFIG = { peft_type: "LORA", r: 4, lora_alpha: 4, bias: "none" };
const random = seeded(7);

function tensor(name: string, ...shape: number[]): TensorData {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0.2 * (random() - 0.5));
  return { name, dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}

async function adapter(tensors: readonly TensorData[], config: object = CONFIG): Promise<File[]> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const part of writeSafetensors(tensors)) parts.push(new Uint8Array(part));
  return [new File([JSON.stringify(config)], "adapter_config.json"), new File(parts, "adapter_model.safetensors")];
}

async function load(from: File[], options: LoadOptions = {}): Promise<LlavaOneVision> {
  const device = await sharedDevice({ features: "all" });
  return LlavaOneVision.load(await checkpointFiles("goldens/hf-05b-like"), { device, adapter: from, ...options });
}

/** The first of an embedding's elements. */
async function embedded(model: LlavaOneVision, of: "text" | "image"): Promise<number[]> {
  const vector =
    of === "text"
      ? await model.embedText("Hello!")
      : (await model.embedImage(testPicture(50, 37), { of: "tokens" })).embedding;
  return Array.from(vector.slice(0, 8), (x) => Math.round(x * 1e4) / 1e4);
}

test("names of transformers 4, 5 and the original code are the same module", async () => {
  const [a, b] = [tensor("a", 4, 256), tensor("b", 256, 4)];
  const results: number[][] = [];
  for (const prefix of ["model.language_model.layers", "language_model.model.layers", "model.layers"]) {
    const module = `base_model.model.${prefix}.1.self_attn.q_proj`;
    const model = await load(
      await adapter([
        { ...a, name: `${module}.lora_A.weight` },
        { ...b, name: `${module}.lora_B.weight` },
      ]),
    );
    results.push(await embedded(model, "text"));
    model.dispose();
  }
  const plain = await load(await adapter([]));
  expect(results[0]).not.toEqual(await embedded(plain, "text"));
  plain.dispose();
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});

test("additions to vision tower and projector, and whole modules, are merged", async () => {
  const plain = await load(await adapter([]));
  const before = await embedded(plain, "image");
  const { width } = plain.config.vision;
  plain.dispose();
  const vision = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.k_proj";
  const projector = "base_model.model.model.multi_modal_projector";
  for (const tensors of [
    [tensor(`${vision}.lora_A.weight`, 4, width), tensor(`${vision}.lora_B.weight`, width, 4)],
    [tensor(`${projector}.linear_2.lora_A.weight`, 4, 256), tensor(`${projector}.linear_2.lora_B.weight`, 256, 4)],
    [tensor(`${projector}.linear_1.weight`, 256, width), tensor(`${projector}.linear_1.bias`, 256)],
  ]) {
    const model = await load(await adapter(tensors));
    expect(model.adapters).toEqual([]);
    expect(await embedded(model, "image")).not.toEqual(before);
    model.dispose();
  }
});

const Q = "base_model.model.model.language_model.layers.0.self_attn.q_proj";

test.each<[string, TensorData[], RegExp]>([
  ["a module of no checkpoint", [tensor("base_model.model.model.foo.lora_A.weight", 4, 8)], /got tensor .*foo/],
  [
    "a layer that is not there",
    [
      tensor(`${Q.replace(".0.", ".99.")}.lora_A.weight`, 4, 256),
      tensor(`${Q.replace(".0.", ".99.")}.lora_B.weight`, 256, 4),
    ],
    /modules of the checkpoint, got .*layers\.99/,
  ],
  [
    "another width",
    [tensor(`${Q}.lora_A.weight`, 4, 128), tensor(`${Q}.lora_B.weight`, 256, 4)],
    /a matrix \[256, 256\], got one of \[256, 128\]/,
  ],
  ["one half", [tensor(`${Q}.lora_A.weight`, 4, 256)], /lora_A .* and lora_B .*got \[4,256\] and none/],
  ["DoRA's magnitudes", [tensor(`${Q}.lora_magnitude_vector`, 256)], /got tensor .*magnitude/],
])("%s is refused", async (_, tensors, message) => {
  await expect(load(await adapter(tensors))).rejects.toThrow(message);
});

test("a folder that is no adapter is refused", async () => {
  const file = new File(["x"], "non_lora_trainables.bin");
  await expect(load([file])).rejects.toThrow(/adapter_config\.json: expected a folder that PEFT.*a pickle/);
});

test.each([
  [["multi_modal_projector"], true],
  [["mm_projector"], true],
  [["lm_head", "model.multi_modal_projector"], true],
  [["lm_head"], false],
  [null, false],
])("modules_to_save %j have the projector: %s", async (saved, expected) => {
  expect(await savesProjector(await adapter([], { ...CONFIG, modules_to_save: saved }))).toBe(expected);
});
