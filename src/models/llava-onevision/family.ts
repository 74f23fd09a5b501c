/** Identifies the model family from config.json alone, so that unsupported families are reported before weights are downloaded. */

import type { CheckpointError } from "../../base/errors.js";
import type { CheckpointFiles } from "../../io/checkpoint.js";
import { EXAMPLE_ID } from "../../io/checkpoint.js";
import { isJsonObject, JsonFields, type JsonValue, showJson } from "../../io/text.js";

const FILE = "config.json";
/** Published checkpoints that are supported. */
const EXAMPLES = `${EXAMPLE_ID} or llava-hf/llava-onevision-qwen2-7b-ov-hf`;
const REMEDY = `Ocellus runs LLaVA-OneVision with a SigLIP tower and Qwen2, for example ${EXAMPLES}`;

/** Families by model_type; the first matching pattern names it. */
const FAMILIES: readonly (readonly [type: RegExp, name: string])[] = [
  [/^llava_?onevision_?1_?5/, "LLaVA-OneVision-1.5, another network than LLaVA-OneVision"],
  [/^llava$/, "LLaVA 1.5"],
  [/^llava_next$/, "LLaVA-NeXT (1.6)"],
  [/^llava_next_video$/, "LLaVA-NeXT-Video"],
  [/^(vip|video)_?llava$/, "a LLaVA 1.5 for videos or marked pictures"],
  [/^llava_(llama|mistral|mpt|gemma|phi)/, "LLaVA with another language model than Qwen2"],
  [/^bunny|^tiny_?llava|^moellava/i, "a small LLaVA"],
  [/^qwen2_vl/, "Qwen2-VL"],
  [/^qwen2_5_vl/, "Qwen2.5-VL"],
  [/^qwen3_vl/, "Qwen3-VL"],
  [/^qwen2_5_omni|^qwen3_omni/, "Qwen-Omni"],
  [/^qwen2_audio/, "Qwen2-Audio"],
  [/^idefics/, "Idefics"],
  [/^smolvlm/, "SmolVLM"],
  [/^paligemma/, "PaliGemma"],
  [/^gemma3n/, "Gemma 3n"],
  [/^gemma3/, "Gemma 3"],
  [/^mllama/, "Llama 3.2 Vision"],
  [/^llama4/, "Llama 4"],
  [/^internvl|^internlm/, "InternVL"],
  [/^phi3_v|^phi4_?(mm|multimodal)/, "Phi Vision"],
  [/^(pixtral|mistral3)/, "Pixtral or Mistral 3"],
  [/^(minicpmv|minicpmo)/, "MiniCPM-V"],
  [/^(deepseek_vl|janus)/, "DeepSeek-VL or Janus"],
  [/^molmo/, "Molmo"],
  [/^florence2/, "Florence-2"],
  [/^(blip|instructblip)/, "BLIP"],
  [
    /^(git|kosmos|fuyu|cogvlm|ovis|aria|emu3|chameleon|moondream|glm4v|ayavision|aya_vision)/,
    "another model for pictures and text",
  ],
];
/** Parts of multimodal models, and text or vision models, by model_type. */
const PARTS: readonly (readonly [type: RegExp, name: string])[] = [
  [/^(siglip|siglip2)(_vision_model)?$/, "SigLIP, a vision encoder alone"],
  [/^(clip|chinese_clip|clip_vision_model|open_?clip)$/, "CLIP, a picture and text encoder"],
  [/^(vit|deit|beit|swin|swinv2|dinov2|dinov3\w*|convnext\w*|resnet)$/, "a vision encoder alone"],
  [
    /^(bert|roberta|xlm-roberta|distilbert|albert|deberta|deberta-v2|mpnet|modernbert|electra|nomic_bert)$/,
    "a text encoder",
  ],
  [/^(t5|mt5|bart|mbart|pegasus|marian)$/, "a text-to-text model"],
  [/^(whisper|wav2vec2\w*|hubert|speech_to_text)$/, "a speech model"],
  [
    /^(qwen2|qwen3|qwen2_moe|qwen3_moe|qwen|llama|mistral|mixtral|gemma2?|gemma3_text|phi|phi3|gpt2|gpt_neo\w*|gptj|falcon|mpt|opt|bloom|olmo\w*|stablelm|starcoder2|smollm\w*|cohere\w*|deepseek_v[23]|granite)$/,
    "a language model without a vision tower",
  ],
];
/** Names of quantisation methods by `quant_method`. */
const METHODS: Readonly<Record<string, string>> = {
  gptq: "GPTQ",
  awq: "AWQ",
  bitsandbytes: "bitsandbytes",
  "compressed-tensors": "compressed-tensors (llm-compressor)",
  fp8: "FP8",
  fbgemm_fp8: "FBGEMM FP8",
  finegrained_fp8: "FP8",
  aqlm: "AQLM",
  quanto: "Quanto",
  eetq: "EETQ",
  hqq: "HQQ",
  torchao: "torchao",
  exl2: "ExLlamaV2",
  mxfp4: "MXFP4",
  modelopt: "NVIDIA ModelOpt",
  vptq: "VPTQ",
  higgs: "HIGGS",
  bitnet: "BitNet",
};

/**
 * Reads config.json and checks that family, parts and weight format are supported.
 * @throws CheckpointError naming the unsupported family, part or quantisation tool, or what was found instead of a checkpoint; SourceError; AbortedError.
 */
export async function readFamily(files: CheckpointFiles): Promise<JsonValue> {
  const json = await files.json(FILE);
  if (json === undefined) throw await files.missing(FILE);
  checkFamily(json);
  return json;
}

/** Returns the style of a LLaVA-OneVision config. Throws CheckpointError for any other family. */
export function checkFamily(config: JsonValue): "llava-hf" | "lmms-lab" {
  const top = new JsonFields(config, FILE);
  const style = styleOf(top);
  checkParts(top, style);
  checkQuantization(top);
  return style;
}

function styleOf(top: JsonFields): "llava-hf" | "lmms-lab" {
  const type = top.get("model_type");
  const architectures = JSON.stringify(top.get("architectures") ?? []);
  if (/onevision_?1_?5/i.test(`${architectures} ${showJson(type)}`)) {
    throw named(top, "model_type", "LLaVA-OneVision-1.5, another network than LLaVA-OneVision");
  }
  if (type === "llava_onevision") return "llava-hf";
  // LLaVA 1.5 in transformers calls itself "llava" too, but is not flat.
  const flat = !top.has("text_config") && !top.has("vision_config");
  if (flat && (type === "llava" || type === "llava_qwen")) {
    if (!top.has("architectures") || architectures.includes("LlavaQwen")) return "lmms-lab";
    throw named(top, "architectures", "LLaVA with another language model than Qwen2", '["LlavaQwenForCausalLM"]');
  }
  if (typeof type !== "string") {
    const other = ["architectures", "architecture", "_class_name"].find((name) => top.has(name));
    throw named(top, "model_type", other === undefined ? "" : `${other}: ${showJson(top.get(other))}`);
  }
  if (type === "llava_qwen") throw named(top, "model_type", "with a nested text_config or vision_config");
  const [, family] = [...FAMILIES, ...PARTS].find(([pattern]) => pattern.test(type)) ?? [];
  throw named(top, "model_type", family ?? "another family");
}

/** Checks that the vision tower is SigLIP and the language model is Qwen2. */
function checkParts(top: JsonFields, style: "llava-hf" | "lmms-lab"): void {
  if (style === "lmms-lab") {
    const tower = top.text("mm_vision_tower");
    if (!/siglip/i.test(tower))
      throw named(top, "mm_vision_tower", "LLaVA with another vision tower", "a SigLIP tower");
    return;
  }
  const parts = [
    ["vision_config", "siglip_vision_model", "vision tower"],
    ["text_config", "qwen2", "language model"],
  ] as const;
  for (const [part, wanted, title] of parts) {
    const fields = top.object(part);
    const type = fields?.get("model_type") ?? wanted;
    if (type !== wanted) throw named(fields!, "model_type", `LLaVA-OneVision with another ${title}`, `"${wanted}"`);
  }
}

function checkQuantization(top: JsonFields): void {
  const inText = isJsonObject(top.get("text_config")) ? top.object("text_config") : undefined;
  for (const fields of [top, inText]) {
    for (const name of ["quantization_config", "compression_config", "quantization"]) {
      const value = fields?.get(name);
      if (!isJsonObject(value)) continue;
      // MLX writes bits and group_size under `quantization`, others name their method.
      const method = value.quant_method ?? value.quant_algo ?? (name === "quantization" ? "MLX" : "an unnamed method");
      const title = typeof method === "string" ? (METHODS[method.toLowerCase()] ?? method) : showJson(method);
      const bits =
        value.bits ?? value.w_bit ?? (value.load_in_4bit === true ? 4 : value.load_in_8bit === true ? 8 : undefined);
      throw fields!.fault(
        name,
        "weights in f32, f16 or bf16, or as Ocellus quantises them",
        `use the checkpoint that this one was quantised from, with dtype "q8" or "q4"`,
        `weights quantised by ${title}${typeof bits === "number" ? ` to ${bits} bits` : ""}`,
      );
    }
  }
}

function named(
  top: JsonFields,
  field: string,
  family: string,
  expected = '"llava_onevision", or "llava" or "llava_qwen" with a flat config',
): CheckpointError {
  const value = showJson(top.get(field));
  return top.fault(field, expected, REMEDY, family === "" ? value : `${value} (${family})`);
}
