import { expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { resolveLayout } from "../../../src/models/llava-onevision/tensor-names.js";
import { shapesOf } from "../../support/checkpoint.js";

const TINY = "../../models/tiny";

test.each([
  [
    "goldens/hf-05b-like",
    {
      language: "language_model.model",
      head: undefined,
      vision: "vision_tower.vision_model",
      projector: ["multi_modal_projector.linear_1", "multi_modal_projector.linear_2"],
      newline: "image_newline",
    },
  ],
  [
    TINY,
    {
      language: "language_model.model",
      head: undefined,
      vision: "vision_tower.vision_model",
      projector: ["multi_modal_projector.linear_1", "multi_modal_projector.linear_2"],
      newline: "image_newline",
    },
  ],
  [
    "goldens/lmms-7b-like",
    {
      language: "model",
      head: "lm_head",
      vision: "model.vision_tower.vision_tower.vision_model",
      projector: ["model.mm_projector.0", "model.mm_projector.2"],
      newline: "model.image_newline",
    },
  ],
  [
    "goldens/hf5-f16",
    {
      language: "model.language_model",
      head: "lm_head",
      vision: "model.vision_tower",
      projector: ["model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_2"],
      newline: "model.image_newline",
    },
  ],
])("%s: every part is found, and every tensor belongs to a part or is ignored", async (model, wanted) => {
  const names = [...(await shapesOf(model)).keys()];
  const layout = resolveLayout(names);
  expect(layout).toMatchObject(wanted);
  expect(layout.head).toBe(wanted.head);
  const used = names.filter((name) => !layout.ignored(name));
  expect(names.filter((name) => layout.ignored(name)).sort()).toEqual([
    `${wanted.vision}.post_layernorm.bias`,
    `${wanted.vision}.post_layernorm.weight`,
  ]);
  const parts = [
    `${layout.language}.layers.`,
    `${layout.language}.embed_tokens.`,
    `${layout.language}.norm.`,
    `${layout.vision}.embeddings.`,
    `${layout.vision}.encoder.layers.`,
    ...layout.projector.map((name) => `${name}.`),
    layout.newline,
    ...(layout.head ? [`${layout.head}.weight`] : []),
  ];
  expect(used.filter((name) => !parts.some((part) => name.startsWith(part)))).toEqual([]);
});

/** The anchors by which parts are found, in published llava-hf names. */
const HF = [
  "language_model.model.embed_tokens.weight",
  "language_model.lm_head.weight",
  "vision_tower.vision_model.embeddings.patch_embedding.weight",
  "multi_modal_projector.linear_1.weight",
  "image_newline",
];

function renamed(from: string, to: string): string[] {
  return HF.map((name) => name.replace(from, to));
}

test("each part is recognised by itself", () => {
  // What save_pretrained of transformers 5.23 writes.
  const fourth = resolveLayout(renamed("vision_tower.vision_model", "vision_tower"));
  expect(fourth).toMatchObject({ language: "language_model.model", vision: "vision_tower", newline: "image_newline" });
  expect(fourth.ignored("vision_tower.post_layernorm.weight")).toBe(true);
  expect(resolveLayout(renamed("language_model.lm_head", "lm_head")).head).toBe("lm_head");
  expect(resolveLayout(renamed("image_newline", "model.image_newline")).newline).toBe("model.image_newline");
  const projector = resolveLayout(renamed("multi_modal_projector.linear_1", "model.mm_projector.0")).projector;
  expect(projector).toEqual(["model.mm_projector.0", "model.mm_projector.2"]);
});

test("names that inference does not read are ignored, others are not", () => {
  const layout = resolveLayout(HF);
  for (const name of [
    "vision_tower.vision_model.post_layernorm.bias",
    "vision_tower.vision_model.head.probe",
    "vision_tower.vision_model.embeddings.position_ids",
    "language_model.model.layers.3.self_attn.rotary_emb.inv_freq",
    "language_model.model.rotary_emb.inv_freq",
  ]) {
    expect(layout.ignored(name), name).toBe(true);
  }
  for (const name of [...HF, "vision_tower.vision_model.encoder.layers.26.mlp.fc1.bias", "lora_A.weight"]) {
    expect(layout.ignored(name), name).toBe(false);
  }
});

test("a tied model ignores a head that is stored all the same", () => {
  const layout = resolveLayout(HF, { tied: true });
  expect(layout.head).toBeUndefined();
  expect(layout.ignored("language_model.lm_head.weight")).toBe(true);
});

test("a missing part is named with what was looked for and found", () => {
  const names = HF.filter((name) => !/vision|newline/.test(name));
  const error = faultOf(() => resolveLayout(names));
  expect(error.message).toContain("vision tower (vision_tower.vision_model.embeddings.patch_embedding.weight");
  expect(error.message).toContain("newline vector (image_newline");
  expect(error.message).toContain("language_model.lm_head.weight");
  expect(error.message).not.toContain("projector (");
  expect(faultOf(() => resolveLayout([])).message).toContain("got no tensors");
  const many = Array.from({ length: 500 }, (_, i) => `bert.layer.${i}.weight`);
  expect(faultOf(() => resolveLayout(many)).message.length).toBeLessThan(900);
});

test("two of one part are refused", () => {
  const error = faultOf(() => resolveLayout([...HF, "model.language_model.embed_tokens.weight"]));
  expect(error.message).toContain("language_model.model.embed_tokens.weight and model.language_model.embed_tokens");
});

function faultOf(run: () => unknown): CheckpointError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return error as CheckpointError;
  }
  throw new Error("nothing was thrown");
}

test("adapters and other tools' quantised matrices are named", () => {
  const lora = "base_model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight";
  expect(faultOf(() => resolveLayout([lora])).message).toMatch(/LoRA matrices of an adapter .*merge_and_unload/);
  const packed = "language_model.model.layers.0.mlp.up_proj.qweight";
  expect(faultOf(() => resolveLayout([packed])).message).toMatch(/quantised by another tool .*qweight/);
});
