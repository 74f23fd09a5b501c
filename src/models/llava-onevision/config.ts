/** The normalised config of model and processor, read from any supported dialect of config files. */

import { JsonFields, type JsonValue } from "../../io/text.js";
import { checkFamily } from "./family.js";
import { flatTileSide, type PictureConfig, readPictures } from "./picture-config.js";
import { type Layout, resolveLayout } from "./tensor-names.js";
import { disagree, Shapes } from "./tensor-shapes.js";

/** Longest sequence that a config may claim: tables of rotary positions are made for all of them. */
const MAX_POSITIONS = 2 ** 20;

/** SigLIP tower. Sizes in elements, sides in pixels. */
export interface VisionConfig {
  readonly width: number;
  readonly heads: number;
  readonly headSize: number;
  readonly layers: number;
  readonly mlpWidth: number;
  readonly patchSide: number;
  readonly tileSide: number;
  /** Patches along one side of a tile; a tile has `cells * cells` features. */
  readonly cells: number;
  readonly layerNormEps: number;
}

/** Qwen2 decoder. Sizes in elements. */
export interface TextConfig {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly mlpWidth: number;
  /** Rows of the embedding table; rows beyond the tokenizer's vocabulary are padding and must not be sampled. */
  readonly vocabulary: number;
  /** Longest sequence in tokens. */
  readonly maxPositions: number;
  readonly ropeTheta: number;
  readonly rmsNormEps: number;
  /** Whether the output head is tied to the embedding table. */
  readonly tied: boolean;
}

/** Sizes and settings of a checkpoint, from its config files and tensor shapes. */
export interface LlavaOneVisionConfig extends PictureConfig {
  /** Which family of config files this came from. */
  readonly style: "llava-hf" | "lmms-lab";
  readonly layout: Layout;
  readonly vision: VisionConfig;
  readonly text: TextConfig;
  /** Placeholder ids; may lie outside the embedding table, since their rows are overwritten. */
  readonly imageTokenId: number;
  readonly videoTokenId: number;
  /** EOS token ids; at least one. */
  readonly eosTokens: readonly number[];
  readonly padToken: number | undefined;
  readonly projectorActivation: "gelu";
}

/** Further files of a checkpoint; undefined if absent. */
export interface ConfigExtras {
  /** preprocessor_config.json */
  readonly preprocessor?: JsonValue | undefined;
  /** processor_config.json */
  readonly processor?: JsonValue | undefined;
  /** generation_config.json */
  readonly generation?: JsonValue | undefined;
  /** Shapes of all tensors, from the file headers, which take precedence over config files. */
  readonly tensorShapes: ReadonlyMap<string, readonly number[]>;
}

const FILE = "config.json";
/** Heads of the family's vision tower are 72 wide; flat configs do not state it. */
const SIGLIP_HEAD_SIZE = 72;
/** Default of transformers' LlavaOnevisionConfig. */
const IMAGE_TOKEN = 151646;
const UNSUPPORTED = "this model variant is not supported";

/**
 * Reads config.json in the style of llava-hf, of transformers 5, or of lmms-lab (flat).
 * Defaults are those of transformers' classes, because published files list only what differs from them.
 * @throws CheckpointError naming file and field for anything missing, of the wrong kind, contradicted by the tensors, or
 * for a computation that is not supported.
 */
export function parseConfig(config: JsonValue, extras: ConfigExtras): LlavaOneVisionConfig {
  const top = new JsonFields(config, FILE);
  const style = checkFamily(config);
  const flat = style === "lmms-lab";
  if (flat) refuseUnbuiltFlat(top);
  else refuseUnbuilt(top);
  const textFields = flat ? top : requireObject(top, "text_config");
  const visionFields = flat ? undefined : requireObject(top, "vision_config");
  refuseUnbuiltText(textFields);

  // The top-level flag may be false where the text flag is true (0.5B), so only the latter is read (specification 2.1).
  const layout = resolveLayout(extras.tensorShapes.keys(), { tied: textFields.boolean("tie_word_embeddings", false) });
  const shapes = new Shapes(extras.tensorShapes);
  const text = readText(textFields, layout, shapes);
  const vision = visionFields
    ? readVision(visionFields, layout, shapes)
    : readFlatVision(top, layout, shapes, flatTileSide(top, extras.preprocessor));
  const imageTokenId = top.id("image_token_index", top.has("image_token_id") ? top.id("image_token_id") : IMAGE_TOKEN);
  // lmms-lab has no video token; the id after the image's stands in, as in the published conversions.
  const videoDefault = top.has("video_token_id") ? top.id("video_token_id") : imageTokenId + 1;
  return {
    style,
    layout,
    vision,
    text,
    imageTokenId,
    videoTokenId: top.id("video_token_index", videoDefault),
    ...readEnds(textFields, top, extras.generation),
    projectorActivation: "gelu",
    ...readPictures(top, vision, extras.preprocessor, extras.processor),
  };
}

/** Fields that change the computation; only the default of each is supported. */
function refuseUnbuilt(top: JsonFields): void {
  top.only("projector_hidden_act", "gelu");
  top.only("vision_feature_layer", -1);
  top.only("vision_feature_select_strategy", "full");
  top.only("multimodal_projector_bias", true);
  top.only("use_image_newline_parameter", true);
}

/** The same for lmms-lab. Its SigLIP tower ignores `mm_vision_select_layer` and `_feature` (specification 1.2). */
function refuseUnbuiltFlat(top: JsonFields): void {
  top.only("mm_projector_type", "mlp2x_gelu");
  top.only("mm_patch_merge_type", "spatial_unpad");
  top.only("mm_newline_position", "one_token");
  top.only("mm_spatial_pool_mode", "bilinear");
  top.only("mm_use_im_start_end", false);
  top.only("add_faster_video", false);
}

function refuseUnbuiltText(text: JsonFields): void {
  text.only("hidden_act", "silu");
  text.only("use_sliding_window", false);
  const kinds = text.get("layer_types");
  if (kinds !== undefined && !(Array.isArray(kinds) && kinds.every((kind) => kind === "full_attention"))) {
    throw text.fault("layer_types", "full_attention in every layer", UNSUPPORTED);
  }
  for (const name of ["rope_scaling", "rope_parameters"]) {
    const rope = text.object(name);
    rope?.only("rope_type", "default");
    rope?.only("type", "default");
  }
}

function readText(fields: JsonFields, layout: Layout, shapes: Shapes): TextConfig {
  const width = fields.count("hidden_size");
  const heads = fields.count("num_attention_heads");
  const keyValueHeads = fields.count("num_key_value_heads");
  const headSize = fields.has("head_dim") ? fields.count("head_dim") : divide(fields, "hidden_size", width, heads);
  checkHeadSize(fields, headSize);
  if (heads % keyValueHeads !== 0) throw fields.fault("num_key_value_heads", `a divisor of the ${heads} heads`);
  const rope = fields.object("rope_parameters");
  const ropeTheta = rope?.has("rope_theta") ? rope.positive("rope_theta") : fields.positive("rope_theta", 10000);
  const [vocabulary, embeddingWidth] = shapes.matrix(`${layout.language}.embed_tokens.weight`);
  agree(fields, "hidden_size", embeddingWidth, "columns of the embedding table");
  const queries = shapes.matrix(`${layout.language}.layers.0.self_attn.q_proj.weight`)[0];
  const keys = shapes.matrix(`${layout.language}.layers.0.self_attn.k_proj.weight`)[0];
  if (queries !== heads * headSize) throw fields.fault("num_attention_heads", `${queries / headSize} by the tensors`);
  if (keys !== keyValueHeads * headSize) throw fields.fault("num_key_value_heads", `${keys / headSize} by the tensors`);
  return {
    width,
    layers: fields.count("num_hidden_layers", undefined, shapes.count),
    heads,
    keyValueHeads,
    headSize,
    mlpWidth: fields.count("intermediate_size"),
    vocabulary,
    maxPositions: fields.count("max_position_embeddings", 32768, MAX_POSITIONS),
    ropeTheta,
    rmsNormEps: fields.positive("rms_norm_eps", 1e-6),
    tied: layout.head === undefined,
  };
}

function readVision(fields: JsonFields, layout: Layout, shapes: Shapes): VisionConfig {
  fields.only("hidden_act", "gelu_pytorch_tanh");
  fields.only("num_channels", 3);
  const width = fields.count("hidden_size");
  const heads = fields.count("num_attention_heads");
  const headSize = divide(fields, "hidden_size", width, heads);
  checkHeadSize(fields, headSize);
  const patch = shapes.patch(layout);
  agree(fields, "hidden_size", patch.width, "rows of the patch embedding");
  agree(fields, "patch_size", patch.side, "side of the patch embedding");
  const tileSide = fields.count("image_size");
  const cells = Math.floor(tileSide / patch.side);
  if (cells !== patch.cells) {
    throw fields.fault(
      "image_size",
      `a side that gives ${patch.cells} x ${patch.cells} patches, as the position table has`,
    );
  }
  return {
    width,
    heads,
    headSize,
    layers: fields.count("num_hidden_layers", undefined, shapes.count),
    mlpWidth: fields.count("intermediate_size"),
    patchSide: patch.side,
    tileSide,
    cells,
    layerNormEps: fields.positive("layer_norm_eps", 1e-6),
  };
}

/** lmms-lab configs name the tower without sizes: these come from the tensors. */
function readFlatVision(top: JsonFields, layout: Layout, shapes: Shapes, tileSide: number): VisionConfig {
  const { width, side, cells } = shapes.patch(layout);
  if (top.has("mm_hidden_size")) agree(top, "mm_hidden_size", width, "rows of the patch embedding");
  if (width % SIGLIP_HEAD_SIZE !== 0) {
    throw disagree(
      `${layout.vision}.embeddings.patch_embedding.weight`,
      `rows in heads of ${SIGLIP_HEAD_SIZE}`,
      `${width}`,
    );
  }
  if (Math.floor(tileSide / side) !== cells) {
    const got = `${Math.floor(tileSide / side)} in a tile of ${tileSide}`;
    throw disagree(`${layout.vision}.embeddings.position_embedding.weight`, `${cells} patches a side`, got);
  }
  return {
    width,
    heads: width / SIGLIP_HEAD_SIZE,
    headSize: SIGLIP_HEAD_SIZE,
    layers: shapes.layers(`${layout.vision}.encoder.layers.`),
    mlpWidth: shapes.matrix(`${layout.vision}.encoder.layers.0.mlp.fc1.weight`)[0],
    patchSide: side,
    tileSide,
    cells,
    layerNormEps: 1e-6,
  };
}

function readEnds(text: JsonFields, top: JsonFields, generation: JsonValue | undefined) {
  const places = [text, top];
  if (generation !== undefined) places.unshift(new JsonFields(generation, "generation_config.json"));
  const ends = places.find((fields) => fields.has("eos_token_id"));
  if (!ends) throw text.fault("eos_token_id", "a token id or a list of them");
  const value = ends.get("eos_token_id");
  const eosTokens = Array.isArray(value) ? value : [value];
  const whole = eosTokens.every((id) => typeof id === "number" && Number.isSafeInteger(id) && id >= 0);
  if (!whole || eosTokens.length === 0) throw ends.fault("eos_token_id", "a token id or a list of them");
  const padToken = places.find((fields) => fields.has("pad_token_id"))?.id("pad_token_id");
  return { eosTokens: eosTokens as number[], padToken };
}

function requireObject(fields: JsonFields, name: string): JsonFields {
  const object = fields.object(name);
  if (!object) throw fields.fault(name, "an object");
  return object;
}

function divide(fields: JsonFields, name: string, width: number, heads: number): number {
  if (width % heads !== 0) throw fields.fault(name, `a multiple of the ${heads} heads`);
  return width / heads;
}

/** The attention kernels read vectors of four. */
function checkHeadSize(fields: JsonFields, headSize: number): void {
  if (headSize % 4 === 0) return;
  throw fields.fault(
    fields.has("head_dim") ? "head_dim" : "hidden_size",
    "heads of a multiple of 4 elements",
    UNSUPPORTED,
  );
}

function agree(fields: JsonFields, name: string, actual: number, what: string): void {
  if (fields.count(name) !== actual) {
    throw fields.fault(
      name,
      `${actual}, the ${what}`,
      "config and weights are of different checkpoints; download both again",
    );
  }
}
