/** The embedded checkpoint in every layout in which the family is published, made in memory. */

import { bytesSource } from "../../src/io/bytes/source.js";
import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import { openSafetensors, type TensorData, writeSafetensors } from "../../src/io/checkpoint/safetensors.js";
import type { JsonObject } from "../../src/io/text/json.js";
import { widenF16 } from "../../src/runtime/dtype.js";
import { checkpointFiles, TINY } from "./checkpoint.js";
import { readFixture, readFixtureJson } from "./fixture.js";

/** Beginnings of names and what takes their place; the first that fits counts. */
type Renames = readonly (readonly [from: string, to: string])[];

const IN_MEMORY: Renames = [
  ["language_model.model.", "model.language_model."],
  ["language_model.lm_head.", "lm_head."],
  ["multi_modal_projector.", "model.multi_modal_projector."],
  ["image_newline", "model.image_newline"],
];

/** Every published spelling, from the one on disk. */
export const RENAMES = {
  "llava-hf on disk": [],
  "in memory since transformers 4.52": [["vision_tower.", "model.vision_tower."], ...IN_MEMORY],
  "in memory since transformers 5": [["vision_tower.vision_model.", "model.vision_tower."], ...IN_MEMORY],
  "saved by transformers 5": [["vision_tower.vision_model.", "vision_tower."]],
  "lmms-lab": [
    ["language_model.model.", "model."],
    ["language_model.lm_head.", "lm_head."],
    ["vision_tower.", "model.vision_tower.vision_tower."],
    ["multi_modal_projector.linear_1.", "model.mm_projector.0."],
    ["multi_modal_projector.linear_2.", "model.mm_projector.2."],
    ["image_newline", "model.image_newline"],
  ],
} as const satisfies Record<string, Renames>;
export type Dialect = keyof typeof RENAMES;

/** The tensors as stored: f16, llava-hf names, no head. */
export async function tinyTensors(): Promise<TensorData[]> {
  const { source, entries } = await openSafetensors(
    bytesSource(await readFixture(`${TINY}/model.safetensors`), "model.safetensors"),
  );
  return Promise.all(
    [...entries.values()].map(async ({ name, dtype, shape, offsetBytes, lengthBytes }) => ({
      ...{ name, dtype, shape },
      bytes: await source.read(offsetBytes, lengthBytes),
    })),
  );
}

export function renamed(tensors: readonly TensorData[], dialect: Dialect): TensorData[] {
  const renames: Renames = RENAMES[dialect];
  return tensors.map((tensor) => {
    const [from, to] = renames.find(([from]) => tensor.name.startsWith(from)) ?? ["", ""];
    return { ...tensor, name: to + tensor.name.slice(from.length) };
  });
}

/** The stored values in another type: exact as F32, rounded to the nearest (even where between) as BF16. */
export function retyped(tensor: TensorData, dtype: "F16" | "F32" | "BF16"): TensorData {
  if (dtype === "F16") return tensor;
  const { buffer, byteOffset, length } = tensor.bytes.slice();
  const values = widenF16(new Uint16Array(buffer, byteOffset, length / 2));
  if (dtype === "F32") return { ...tensor, dtype, bytes: new Uint8Array(values.buffer) };
  const bits = new Uint32Array(values.buffer);
  const half = Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16);
  return { ...tensor, dtype, bytes: new Uint8Array(half.buffer) };
}

/** The output matrix of the embedding table, as checkpoints store it that do not say that the two are one. */
export function headOf(tensors: readonly TensorData[]): TensorData {
  const table = tensors.find(({ name }) => name === "language_model.model.embed_tokens.weight")!;
  return { ...table, name: "language_model.lm_head.weight" };
}

export interface CheckpointParts {
  tensors: readonly TensorData[];
  config?: JsonObject;
  /** Files the weights are divided into; more than one with an index. */
  shards?: number;
}

/** The embedded checkpoint's files with other weights and config. */
export async function filesWith({ tensors, config, shards = 1 }: CheckpointParts): Promise<NamedBlob[]> {
  const replaced = new Set(["model.safetensors", ...(config ? ["config.json"] : [])]);
  const files = (await checkpointFiles(TINY)).filter(({ name }) => !replaced.has(name));
  if (config) files.push(new File([JSON.stringify(config)], "config.json"));
  const file = (part: readonly TensorData[], name: string) =>
    new File(writeSafetensors(part, { format: "pt" }) as Uint8Array<ArrayBuffer>[], name);
  if (shards === 1) return [...files, file(tensors, "model.safetensors")];
  const map: Record<string, string> = {};
  for (let i = 0; i < shards; i++) {
    const name = `model-0000${i + 1}-of-0000${shards}.safetensors`;
    // Not in order: nothing may depend on which file holds what.
    const part = tensors.filter((_, n) => n % shards === i);
    for (const tensor of part) map[tensor.name] = name;
    files.push(file(part, name));
  }
  const index = {
    metadata: { total_size: tensors.reduce((sum, { bytes }) => sum + bytes.length, 0) },
    weight_map: map,
  };
  return [...files, new File([JSON.stringify(index)], "model.safetensors.index.json")];
}

export function tinyConfig(): Promise<JsonObject> {
  return readFixtureJson<JsonObject>(`${TINY}/config.json`);
}

/** The config as transformers 5 writes it: rope parameters in an object, `dtype` instead of `torch_dtype`. */
export function asTransformers5(config: JsonObject): JsonObject {
  const { torch_dtype: dtype = null, ...top } = config;
  const { rope_theta: theta = null, ...text } = config.text_config as JsonObject;
  const rope = { rope_theta: theta, rope_type: "default" };
  return { ...top, dtype, text_config: { ...text, rope_parameters: rope, sliding_window: null } };
}

/** The flat config of lmms-lab: the language model's own, of the vision tower its name, and grids as [width, height]. */
export function asLmms(config: JsonObject): JsonObject {
  return {
    ...(config.text_config as JsonObject),
    architectures: ["LlavaQwenForCausalLM"],
    model_type: "llava",
    image_aspect_ratio: "anyres_max_9",
    image_grid_pinpoints: (config.image_grid_pinpoints as number[][]).map(([height, width]) => [width!, height!]),
    image_token_index: config.image_token_index!,
    mm_hidden_size: (config.vision_config as JsonObject).hidden_size!,
    mm_newline_position: "one_token",
    mm_patch_merge_type: "spatial_unpad",
    mm_projector_type: "mlp2x_gelu",
    mm_spatial_pool_mode: "bilinear",
    mm_use_im_start_end: false,
    mm_vision_select_layer: -2,
    mm_vision_tower: "google/siglip-so400m-patch14-384",
  };
}
