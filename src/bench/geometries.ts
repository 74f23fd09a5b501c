import type { LlavaOneVisionConfig } from "../models/llava-onevision/config.js";
import { qwen2Tensors, type SyntheticTensor, siglipTensors } from "./synthetic.js";

/** The sizes of a model. */
export type Geometry = Pick<LlavaOneVisionConfig, "vision" | "text">;

/** Sizes of the published 0.5B model. */
export const GEOMETRY_05B: Geometry = {
  vision: {
    width: 1152,
    heads: 16,
    headSize: 72,
    layers: 26,
    mlpWidth: 4304,
    patchSide: 14,
    tileSide: 384,
    cells: 27,
    layerNormEps: 1e-6,
  },
  text: {
    width: 896,
    layers: 24,
    heads: 14,
    keyValueHeads: 2,
    headSize: 64,
    mlpWidth: 4864,
    vocabulary: 152000,
    maxPositions: 32768,
    ropeTheta: 1e6,
    rmsNormEps: 1e-6,
    tied: true,
  },
};

/** Sizes of the published 7B model, whose tower is the same. */
export const GEOMETRY_7B: Geometry = {
  vision: GEOMETRY_05B.vision,
  text: {
    ...GEOMETRY_05B.text,
    width: 3584,
    layers: 28,
    heads: 28,
    keyValueHeads: 4,
    headSize: 128,
    mlpWidth: 18944,
    vocabulary: 152128,
    tied: false,
  },
};

/** Sizes of the published 72B model. */
export const GEOMETRY_72B: Geometry = {
  vision: GEOMETRY_05B.vision,
  text: {
    ...GEOMETRY_05B.text,
    width: 8192,
    layers: 80,
    heads: 64,
    keyValueHeads: 8,
    headSize: 128,
    mlpWidth: 29568,
    vocabulary: 152064,
    tied: false,
  },
};

/** All tensors of a model, by the names of the published checkpoints. */
export function modelTensors({ vision, text }: Geometry): Map<string, SyntheticTensor> {
  const tensors = new Map<string, SyntheticTensor>();
  for (const [name, tensor] of siglipTensors(vision)) tensors.set(`vision_tower.vision_model.${name}`, tensor);
  for (const [name, tensor] of qwen2Tensors(text)) tensors.set(`language_model.model.${name}`, tensor);
  const scale = 0.02;
  if (!text.tied) tensors.set("language_model.lm_head.weight", { shape: [text.vocabulary, text.width], scale });
  for (const [name, inner] of [
    ["linear_1", vision.width],
    ["linear_2", text.width],
  ] as const) {
    tensors.set(`multi_modal_projector.${name}.weight`, { shape: [text.width, inner], scale });
    tensors.set(`multi_modal_projector.${name}.bias`, { shape: [text.width], scale });
  }
  tensors.set("image_newline", { shape: [text.width], scale });
  return tensors;
}

/** The config of a model of this geometry, as config.json of the llava-hf layout states it. */
export function configJson({ vision, text }: Geometry) {
  return {
    architectures: ["LlavaOnevisionForConditionalGeneration"],
    model_type: "llava_onevision",
    image_token_index: 151646,
    video_token_index: 151647,
    vision_aspect_ratio: "anyres_max_9",
    tie_word_embeddings: text.tied,
    text_config: {
      model_type: "qwen2",
      hidden_size: text.width,
      num_hidden_layers: text.layers,
      num_attention_heads: text.heads,
      num_key_value_heads: text.keyValueHeads,
      intermediate_size: text.mlpWidth,
      vocab_size: text.vocabulary,
      max_position_embeddings: text.maxPositions,
      rope_theta: text.ropeTheta,
      rms_norm_eps: text.rmsNormEps,
      tie_word_embeddings: text.tied,
      eos_token_id: 151645,
    },
    vision_config: {
      model_type: "siglip_vision_model",
      hidden_size: vision.width,
      num_hidden_layers: vision.layers,
      num_attention_heads: vision.heads,
      intermediate_size: vision.mlpWidth,
      image_size: vision.tileSide,
      patch_size: vision.patchSide,
      layer_norm_eps: vision.layerNormEps,
    },
  };
}
