import { expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import type { JsonObject, JsonValue } from "../../../src/io/text/json.js";
import { type LlavaOneVisionConfig, parseConfig } from "../../../src/models/llava-onevision/config.js";
import { type ConfigFiles, configFilesOf } from "../../support/checkpoint.js";

const [HF, LMMS, HF5] = ["goldens/hf-05b-like", "goldens/lmms-7b-like", "goldens/hf5-f16"];
const TINY = "../../models/tiny";

function parse(files: ConfigFiles): LlavaOneVisionConfig {
  return parseConfig(files.config, files);
}

/** Sets a field by its dotted path; undefined removes it. */
function set(object: JsonValue | undefined, path: string, value: JsonValue | undefined): void {
  const names = path.split(".");
  const last = names.pop()!;
  let at = object as JsonObject;
  for (const name of names) at = at[name] as JsonObject;
  if (value === undefined) delete at[last];
  else at[last] = value;
}

async function faultOf(folder: string, change: (files: ConfigFiles) => void): Promise<string> {
  const files = await configFilesOf(folder);
  parse(files);
  change(files);
  try {
    parse(files);
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

const half = [0.5, 0.5, 0.5];

test("llava-hf, with what the file leaves out", async () => {
  const config = parse(await configFilesOf(HF));
  expect(config).toMatchObject({
    style: "llava-hf",
    vision: {
      width: 144,
      heads: 2,
      headSize: 72,
      layers: 2,
      mlpWidth: 304,
      patchSide: 14,
      tileSide: 384,
      cells: 27,
      layerNormEps: 1e-6,
    },
    text: {
      width: 256,
      layers: 2,
      heads: 4,
      keyValueHeads: 2,
      headSize: 64,
      mlpWidth: 352,
      vocabulary: 640,
      maxPositions: 32768,
      ropeTheta: 1_000_000,
      rmsNormEps: 1e-6,
      tied: true,
    },
    imageTokenId: 598,
    videoTokenId: 599,
    maxTiles: 9,
    pooling: { mode: "bilinear", stride: 2, cells: 14 },
    eosTokens: [597],
    padToken: undefined,
    imageMean: half,
    imageStd: half,
    rescaleFactor: 0.00392156862745098,
    projectorActivation: "gelu",
  });
  expect(config.grids).toHaveLength(36);
  expect(config.grids[0]).toEqual([384, 384]);
  expect(config.grids[35]).toEqual([2304, 2304]);
});

test("transformers 5", async () => {
  const config = parse(await configFilesOf(HF5));
  expect(config).toMatchObject({
    style: "llava-hf",
    vision: { width: 144, heads: 2, layers: 3, mlpWidth: 336, cells: 27 },
    text: { width: 320, heads: 5, keyValueHeads: 1, headSize: 64, ropeTheta: 1_000_000, tied: false },
    eosTokens: [597],
  });
});

test("lmms-lab: the vision tower's sizes come from the tensors", async () => {
  const config = parse(await configFilesOf(LMMS));
  expect(config).toMatchObject({
    style: "lmms-lab",
    vision: {
      width: 288,
      heads: 4,
      headSize: 72,
      layers: 2,
      mlpWidth: 400,
      patchSide: 14,
      tileSide: 384,
      cells: 27,
      layerNormEps: 1e-6,
    },
    text: { width: 256, layers: 3, heads: 2, keyValueHeads: 1, headSize: 128, mlpWidth: 368, tied: false },
    imageTokenId: 598,
    videoTokenId: 599,
    maxTiles: 9,
    eosTokens: [597, 595],
    padToken: 595,
    imageMean: half,
  });
  expect(config.grids).toHaveLength(36);
});

test("the tiny model: no size of the published ones is written into the code", async () => {
  const config = parse(await configFilesOf(TINY));
  expect(config).toMatchObject({
    vision: { tileSide: 126, cells: 9, layers: 4 },
    text: { layers: 4, maxPositions: 4096, tied: true },
    pooling: { cells: 5 },
    eosTokens: [597, 595],
    padToken: 595,
  });
  expect(config.grids[35]).toEqual([756, 756]);
});

test("absent fields have transformers' defaults", async () => {
  const files = await configFilesOf(HF);
  for (const path of [
    "text_config.rope_theta",
    "text_config.tie_word_embeddings",
    "text_config.model_type",
    "image_token_index",
    "video_token_index",
    "image_grid_pinpoints",
    "vision_aspect_ratio",
    "projector_hidden_act",
    "vision_feature_layer",
    "vision_feature_select_strategy",
    "vision_config.model_type",
  ]) {
    set(files.config, path, undefined);
  }
  const published = parse(await configFilesOf(HF));
  const bare = parse({ ...files, preprocessor: undefined, processor: undefined, generation: undefined });
  expect(bare.text).toMatchObject({ ropeTheta: 10000, tied: true });
  expect(bare).toMatchObject({ imageTokenId: 151646, videoTokenId: 151647, maxTiles: 9, eosTokens: [597] });
  expect(bare.grids).toEqual(published.grids);
  expect(bare).toMatchObject({ imageMean: half, imageStd: half, rescaleFactor: 1 / 255 });
});

test("the vocabulary is the table's rows, regardless of the config", async () => {
  const files = await configFilesOf(HF);
  set(files.config, "text_config.vocab_size", 600);
  expect(parse(files).text.vocabulary).toBe(640);
});

test("the head is tied by the text flag or by its absence, not by the top-level flag", async () => {
  const flagged = await configFilesOf(HF5);
  set(flagged.config, "text_config.tie_word_embeddings", true);
  const config = parse(flagged);
  expect(config.text.tied).toBe(true);
  expect(config.layout.ignored("lm_head.weight")).toBe(true);
  const top = await configFilesOf(HF5);
  set(top.config, "tie_word_embeddings", true);
  expect(parse(top).text.tied).toBe(false);
  const absent = await configFilesOf(HF5);
  absent.tensorShapes.delete("lm_head.weight");
  expect(parse(absent).text.tied).toBe(true);
});

test("grid entries of transformers are [height, width], those of lmms-lab [width, height]", async () => {
  for (const [folder, first] of [
    [HF, [768, 384]],
    [LMMS, [384, 768]],
  ] as const) {
    const files = await configFilesOf(folder);
    set(files.config, "image_grid_pinpoints", [
      [384, 768],
      [384, 384],
    ]);
    set(files.preprocessor, "image_grid_pinpoints", undefined);
    expect(parse(files).grids[0]).toEqual(first);
  }
});

test.each(["(1x1)", "(0x1),...,(2x2)", "(3x3),...,(2x2)"])("the grid range %s is refused", async (range) => {
  const message = await faultOf(LMMS, (files) => set(files.config, "image_grid_pinpoints", range));
  expect(message).toContain("config.json: image_grid_pinpoints");
});

test("lmms-lab's written-out grid range", async () => {
  const files = await configFilesOf(LMMS);
  const listed = parse(files).grids;
  set(files.config, "image_grid_pinpoints", "(1x1),...,(6x6)");
  expect(parse(files).grids).toEqual(listed);
  // Without a preprocessor file the tower's name gives the tile side.
  expect(parse({ ...files, preprocessor: undefined }).grids).toEqual(listed);
});

test("the image processor may lie inside processor_config.json", async () => {
  const files = await configFilesOf(HF);
  const nested = { ...(files.preprocessor as JsonObject), image_mean: [0.1, 0.2, 0.3] };
  const processor = { image_token: "<image>", image_processor: nested };
  expect(parse({ ...files, preprocessor: undefined, processor }).imageMean).toEqual([0.1, 0.2, 0.3]);
});

test("other spellings of the placeholder ids", async () => {
  const files = await configFilesOf(HF);
  set(files.config, "image_token_index", undefined);
  set(files.config, "video_token_index", undefined);
  set(files.config, "image_token_id", 600);
  set(files.config, "video_token_id", 610);
  expect(parse(files)).toMatchObject({ imageTokenId: 600, videoTokenId: 610 });
});

test.each<[string, string, JsonValue | undefined, string]>([
  [HF, "model_type", "qwen2_vl", '"llava_onevision"'],
  [HF, "model_type", undefined, "got nothing"],
  // LLaVA 1.5 in transformers: the name of lmms-lab, the nesting of llava-hf.
  [HF, "model_type", "llava", '"llava_onevision"'],
  [HF, "text_config", undefined, "expected an object"],
  [HF, "text_config", [1], "expected an object, got [1]"],
  [HF, "vision_config", undefined, "expected an object"],
  [HF, "text_config.model_type", "llama", 'expected "qwen2", got "llama"'],
  [HF, "vision_config.model_type", "clip_vision_model", 'expected "siglip_vision_model"'],
  [HF, "text_config.hidden_size", undefined, "expected a positive whole number, got nothing"],
  [HF, "text_config.hidden_size", "256", 'expected a positive whole number, got "256"'],
  [HF, "text_config.hidden_size", 512, "expected 256"],
  [HF, "text_config.hidden_size", 255, "a multiple of the 4 heads"],
  [HF, "text_config.num_attention_heads", 3, "text_config.hidden_size: expected a multiple of the 3 heads"],
  [HF, "text_config.num_attention_heads", 128, "text_config.hidden_size: expected heads of a multiple of 4"],
  [HF, "text_config.num_attention_heads", 0, "positive whole number"],
  [HF, "text_config.num_key_value_heads", 3, "a divisor of the 4 heads"],
  [HF, "text_config.num_key_value_heads", 4, "2 by the tensors"],
  [HF, "text_config.num_key_value_heads", undefined, "got nothing"],
  [HF, "text_config.intermediate_size", -1, "positive whole number"],
  [HF, "text_config.num_hidden_layers", 2.5, "positive whole number"],
  [HF, "text_config.rms_norm_eps", "1e-6", "a number over 0"],
  [HF, "text_config.rope_theta", 0, "a number over 0"],
  [HF, "text_config.rope_scaling", { type: "yarn", factor: 4 }, 'expected "default", got "yarn"'],
  [HF5, "text_config.rope_parameters", { rope_type: "linear", rope_theta: 1e6 }, 'expected "default"'],
  [HF5, "text_config.layer_types", ["full_attention", "sliding_attention"], "full_attention in every layer"],
  [HF5, "text_config.head_dim", 66, "heads of a multiple of 4"],
  [HF5, "text_config.head_dim", 32, "text_config.num_attention_heads: expected 10 by the tensors"],
  [HF, "text_config.hidden_act", "gelu", 'expected "silu"'],
  [HF, "text_config.use_sliding_window", true, "expected false"],
  [HF, "text_config.tie_word_embeddings", "yes", "true or false"],
  [HF, "text_config.max_position_embeddings", "long", "positive whole number"],
  [HF, "text_config.max_position_embeddings", 1e9, "at most 1048576"],
  [HF, "text_config.num_hidden_layers", 1e9, "a positive whole number, at most "],
  [HF, "vision_config.hidden_act", "gelu", 'expected "gelu_pytorch_tanh"'],
  [HF, "vision_config.hidden_size", 1152, "expected 144"],
  [HF, "vision_config.num_attention_heads", 5, "vision_config.hidden_size: expected a multiple of the 5 heads"],
  [HF, "vision_config.num_attention_heads", 72, "vision_config.hidden_size: expected heads of a multiple of 4"],
  [HF, "vision_config.patch_size", 16, "expected 14"],
  [HF, "vision_config.image_size", 224, "27 x 27 patches"],
  [HF, "vision_config.num_hidden_layers", undefined, "got nothing"],
  [HF, "vision_feature_layer", -2, "expected -1, got -2"],
  [HF, "vision_feature_layer", [-1], "expected -1"],
  [HF, "vision_feature_select_strategy", "default", 'expected "full"'],
  [HF, "projector_hidden_act", "relu", 'expected "gelu"'],
  [HF, "multimodal_projector_bias", false, "expected true"],
  [HF, "image_token_index", -200, "a whole number from 0"],
  [HF, "vision_aspect_ratio", "anyres", "anyres_max_N"],
  [HF, "image_grid_pinpoints", [[384]], "a list of pairs"],
  [HF, "image_grid_pinpoints", [], "a list of pairs"],
  [HF, "image_grid_pinpoints", [[384, 400]], "multiples of the tile side 384"],
  [HF, "image_grid_pinpoints", "anyres", "(6x6)"],
  [LMMS, "architectures", ["LlavaLlamaForCausalLM"], "LlavaQwen"],
  [LMMS, "mm_vision_tower", "openai/clip-vit-large-patch14-336", "a SigLIP tower"],
  [LMMS, "mm_vision_tower", undefined, "a text"],
  [LMMS, "mm_hidden_size", 1152, "expected 288"],
  [LMMS, "mm_projector_type", "linear", "mlp2x_gelu"],
  [LMMS, "mm_newline_position", "grid", "one_token"],
  [LMMS, "mm_patch_merge_type", "flat", "spatial_unpad"],
  [LMMS, "mm_spatial_pool_mode", "average", "bilinear"],
  [LMMS, "image_aspect_ratio", "pad", "anyres_max_N"],
  [LMMS, "num_attention_heads", 3, "hidden_size: expected a multiple of the 3 heads"],
])("%s with %s = %j is refused", async (folder, path, value, words) => {
  const message = await faultOf(folder, (files) => set(files.config, path, value));
  expect(message).toMatch(/^config\.json: /);
  expect(message).toContain(words);
  // Where two fields contradict each other the words say which one is named.
  if (!words.includes(": expected")) expect(message).toContain(path);
});

test.each<[string, JsonValue | undefined, string]>([
  ["image_mean", undefined, "three numbers, got nothing"],
  ["image_mean", [0.5, 0.5], "three numbers"],
  ["image_std", [0.5, 0, 0.5], "three numbers over 0"],
  ["rescale_factor", "1/255", "a number over 0"],
  ["resample", 2, "expected 3"],
  ["do_normalize", false, "expected true"],
  ["size", { height: 336, width: 336 }, "size.height: expected 384, got 336"],
  ["image_grid_pinpoints", [[384, 384]], "the list of config.json"],
])("preprocessor_config.json with %s = %j is refused", async (path, value, words) => {
  const message = await faultOf(HF, (files) => set(files.preprocessor, path, value));
  expect(message).toMatch(/^preprocessor_config\.json: /);
  expect(message).toContain(path);
  expect(message).toContain(words);
});

test("EOS tokens: the generation config takes precedence, at least one is required, all must be ids", async () => {
  const files = await configFilesOf(HF);
  expect(parse({ ...files, generation: { eos_token_id: [5, 6], pad_token_id: 7 } })).toMatchObject({
    eosTokens: [5, 6],
    padToken: 7,
  });
  expect(parse({ ...files, generation: {} }).eosTokens).toEqual([597]);
  const wrong = (value: JsonValue) => faultOf(HF, (changed) => set(changed.generation, "eos_token_id", value));
  for (const value of ["x", [], [1, -1], [1.5]]) {
    expect(await wrong(value)).toContain("generation_config.json: eos_token_id: expected a token id");
  }
  const none = await faultOf(HF, (changed) => {
    changed.generation = undefined;
    set(changed.config, "text_config.eos_token_id", undefined);
  });
  expect(none).toContain("config.json: text_config.eos_token_id: expected a token id or a list of them, got nothing");
});

test("processor_config.json must not contradict config.json", async () => {
  const message = await faultOf(HF, (files) => set(files.processor, "vision_aspect_ratio", "anyres_max_4"));
  expect(message).toContain("processor_config.json: vision_aspect_ratio: expected anyres_max_9");
});

test("a config that is no object, and tensors that do not fit one another", async () => {
  const files = await configFilesOf(HF);
  expect(() => parseConfig([1], files)).toThrow("config.json: expected an object, got [1]");
  const patch = "vision_tower.vision_model.embeddings.patch_embedding.weight";
  const positions = "vision_tower.vision_model.embeddings.position_embedding.weight";
  for (const [name, shape, words] of [
    [patch, [144, 588], "shape [width, 3, side, side]"],
    [positions, [730, 144], "a square number of rows, got 730"],
    [positions, undefined, "no tensor of the name"],
    ["language_model.model.embed_tokens.weight", [640], "a matrix"],
  ] as const) {
    const message = await faultOf(HF, ({ tensorShapes }) => {
      if (shape) tensorShapes.set(name, shape);
      else tensorShapes.delete(name);
    });
    expect(message).toContain(name);
    expect(message).toContain(words);
  }
  const odd = await faultOf(LMMS, ({ config, tensorShapes }) => {
    set(config, "mm_hidden_size", undefined);
    tensorShapes.set(`model.vision_tower.${patch}`, [100, 3, 14, 14]);
  });
  expect(odd).toContain("rows in heads of 72, got 100");
});
