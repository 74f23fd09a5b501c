import { expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import type { JsonObject } from "../../../src/io/text/json.js";
import { checkFamily } from "../../../src/models/llava-onevision/family.js";

const HF = { model_type: "llava_onevision", vision_config: {}, text_config: {} };
const FLAT = {
  model_type: "llava",
  architectures: ["LlavaQwenForCausalLM"],
  mm_vision_tower: "google/siglip-so400m-patch14-384",
};

function refusal(config: JsonObject): string {
  try {
    checkFamily(config);
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as Error).message;
  }
  return "accepted";
}

test("both dialects of the family", () => {
  expect(checkFamily(HF)).toBe("llava-hf");
  expect(checkFamily({ ...HF, vision_config: { model_type: "siglip_vision_model" } })).toBe("llava-hf");
  expect(checkFamily(FLAT)).toBe("lmms-lab");
});

test.each<[string, RegExp]>([
  ["llava", /LLaVA 1\.5/],
  ["llava_next", /LLaVA-NeXT/],
  ["llava_next_video", /LLaVA-NeXT-Video/],
  ["llavaonevision1_5", /LLaVA-OneVision-1\.5/],
  ["qwen2_vl", /Qwen2-VL/],
  ["qwen2_5_vl", /Qwen2\.5-VL/],
  ["idefics3", /Idefics/],
  ["paligemma", /PaliGemma/],
  ["gemma3", /Gemma 3\b/],
  ["mllama", /Llama 3\.2 Vision/],
  ["internvl_chat", /InternVL/],
  ["phi3_v", /Phi Vision/],
  ["clip", /CLIP/],
  ["siglip", /SigLIP, a vision encoder alone/],
  ["qwen2", /a language model without a vision tower/],
  ["bert", /text encoder/],
  ["whisper", /speech model/],
  ["brand_new", /another family/],
])("%s is named, with what runs", (type, family) => {
  const message = refusal({ model_type: type, text_config: {}, vision_config: {} });
  expect(message).toMatch(/^config\.json: model_type: expected "llava_onevision"/);
  expect(message).toContain(`got "${type}" (`);
  expect(message).toMatch(family);
  expect(message).toContain("llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
});

test.each<[string, JsonObject, string[]]>([
  ["no type", { architectures: ["TimmWrapper"] }, ["got nothing", "TimmWrapper"]],
  ["nothing", {}, ["model_type", "got nothing"]],
  [
    "1.5 by its architecture",
    { model_type: "llava", architectures: ["LLaVAOneVision1_5_ForConditionalGeneration"] },
    ["LLaVA-OneVision-1.5"],
  ],
  [
    "another language model, flat",
    { ...FLAT, architectures: ["LlavaLlamaForCausalLM"] },
    ["architectures", "another language model"],
  ],
  [
    "another tower, flat",
    { ...FLAT, mm_vision_tower: "openai/clip-vit-large-patch14-336" },
    ["mm_vision_tower", "clip-vit", "another vision tower"],
  ],
  [
    "another tower",
    { ...HF, vision_config: { model_type: "clip_vision_model" } },
    ["vision_config.model_type", "another vision tower", '"siglip_vision_model"'],
  ],
  [
    "another language model",
    { ...HF, text_config: { model_type: "qwen3" } },
    ["text_config.model_type", "another language model", '"qwen2"'],
  ],
  ["GPTQ", { ...HF, quantization_config: { quant_method: "gptq", bits: 4 } }, ["quantised by GPTQ to 4 bits", "dtype"]],
  ["AWQ", { ...HF, quantization_config: { quant_method: "awq", bits: 4 } }, ["AWQ"]],
  [
    "bitsandbytes",
    { ...HF, quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } },
    ["bitsandbytes to 4 bits"],
  ],
  [
    "compressed tensors, in the text",
    { ...HF, text_config: { quantization_config: { quant_method: "compressed-tensors" } } },
    ["text_config.quantization_config", "compressed-tensors"],
  ],
  ["FP8", { ...HF, quantization_config: { quant_method: "fp8" } }, ["FP8"]],
  ["MLX", { ...HF, quantization: { group_size: 64, bits: 4 } }, ["MLX to 4 bits"]],
  ["a new method", { ...HF, quantization_config: { quant_method: "zip\u001b[2J" } }, ["zip\\u001b[2J"]],
])("%s", (_, config, words) => {
  const message = refusal(config);
  for (const word of words) expect(message).toContain(word);
});
