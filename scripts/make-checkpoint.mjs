// Writes a LLaVA-OneVision checkpoint folder with seeded random weights in the llava-hf layout: for measuring memory and
// speed without the real weights. Its answers are meaningless.
//
//   node scripts/make-checkpoint.mjs FOLDER [--size tiny|0.5b|1gb|7b|7b-layer] [--layers N] [--dtype bf16|f16|f32] [--shards N] [--seed N] [--zeros]

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { copyFile, mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";

const HELP = `usage: node scripts/make-checkpoint.mjs FOLDER [options]

  --size NAME    tiny       the embedded checkpoint's geometry (7 MB)
                 0.5b       the published 0.5B model: vision 26 layers of 1152, text 24 layers of 896, tied head (1.8 GB in bf16)
                 1gb        the same with 13 vision and 12 text layers (1.04 GB in bf16)
                 7b         vision 26 layers, text 28 layers of 3584, untied head (16 GB in bf16)
                 7b-layer   vision 1 layer, text 1 layer of the 7B model's 3584, untied head (2.7 GB in bf16)
  --layers N     layers of the language model in place of the size's own
  --dtype NAME   bf16 (default), f16 or f32
  --shards N     files the weights are divided into (1)
  --seed N       another seed, other weights (1)
  --zeros        weights are zeros that take no room on the disk: for a checkpoint of which only the headers are used

Weights are normal with standard deviation 0.02, norms around 1: activations stay finite. Written as a stream; memory stays low.
`;

const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const TINY = { folder: root("models/tiny") };

const SIGLIP = { width: 1152, mlp: 4304, heads: 16, layers: 26, tile: 384, patch: 14 };
const QWEN_HALF = { width: 896, mlp: 4864, heads: 14, kv: 2, layers: 24, vocabulary: 152000, tied: true };
const QWEN_7B = { width: 3584, mlp: 18944, heads: 28, kv: 4, layers: 28, vocabulary: 152128, tied: false };
const SIZES = {
  "0.5b": { vision: SIGLIP, text: QWEN_HALF },
  "1gb": { vision: { ...SIGLIP, layers: 13 }, text: { ...QWEN_HALF, layers: 12 } },
  "7b": { vision: SIGLIP, text: QWEN_7B },
  "7b-layer": { vision: { ...SIGLIP, layers: 1 }, text: { ...QWEN_7B, layers: 1 } },
};
const BYTES = { bf16: 2, f16: 2, f32: 4 };
/** Weights are slices of a table of this many bytes at random offsets: random enough, and as fast as the disk. */
const TABLE_BYTES = 8 * 1024 * 1024;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string", default: "tiny" },
    layers: { type: "string" },
    dtype: { type: "string", default: "bf16" },
    shards: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    zeros: { type: "boolean", default: false },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const [folder] = positionals;
const dtype = values.dtype;
const [shards, seed] = [Number(values.shards), Number(values.seed)];
const layers = values.layers === undefined ? undefined : Number(values.layers);
const isCount = (n) => Number.isInteger(n) && n > 0;
if (
  !folder ||
  !(dtype in BYTES) ||
  ![shards, seed, layers ?? 1].every(isCount) ||
  !(values.size === "tiny" || values.size in SIZES)
) {
  process.stderr.write(HELP);
  process.exit(2);
}

await mkdir(folder, { recursive: true });
const size = values.size === "tiny" ? await tinySize() : SIZES[values.size];
const geometry = { vision: size.vision, text: { ...size.text, layers: layers ?? size.text.layers } };
await writeConfig(geometry);
const tensors = tensorsOf(geometry);
const total = await writeWeights(tensors);
console.log(
  `${folder}: ${tensors.length} tensors, ${(total / 1e6).toFixed(0)} MB in ${shards} ${shards === 1 ? "file" : "files"}`,
);

async function tinySize() {
  const { vision_config: v, text_config: t } = JSON.parse(await readFile(join(TINY.folder, "config.json"), "utf8"));
  return {
    vision: {
      width: v.hidden_size,
      mlp: v.intermediate_size,
      heads: v.num_attention_heads,
      layers: v.num_hidden_layers,
      tile: v.image_size,
      patch: v.patch_size,
    },
    text: {
      width: t.hidden_size,
      mlp: t.intermediate_size,
      heads: t.num_attention_heads,
      kv: t.num_key_value_heads,
      layers: t.num_hidden_layers,
      vocabulary: t.vocab_size,
      tied: true,
    },
  };
}

/** Names, shapes and kinds in the order of the file. */
function tensorsOf({ vision, text }) {
  const out = [];
  const add = (name, shape, kind = "weight") => out.push({ name, shape, kind });
  const norm = (name, width, bias) => {
    add(`${name}.weight`, [width], "scale");
    if (bias) add(`${name}.bias`, [width]);
  };
  const linear = (name, columns, inner, bias = true) => {
    add(`${name}.weight`, [columns, inner]);
    if (bias) add(`${name}.bias`, [columns]);
  };
  add("image_newline", [text.width]);
  const tower = "vision_tower.vision_model";
  add(`${tower}.embeddings.patch_embedding.weight`, [vision.width, 3, vision.patch, vision.patch]);
  add(`${tower}.embeddings.patch_embedding.bias`, [vision.width]);
  add(`${tower}.embeddings.position_embedding.weight`, [Math.floor(vision.tile / vision.patch) ** 2, vision.width]);
  for (let i = 0; i < vision.layers; i++) {
    const at = `${tower}.encoder.layers.${i}`;
    for (const part of ["q_proj", "k_proj", "v_proj", "out_proj"])
      linear(`${at}.self_attn.${part}`, vision.width, vision.width);
    norm(`${at}.layer_norm1`, vision.width, true);
    linear(`${at}.mlp.fc1`, vision.mlp, vision.width);
    linear(`${at}.mlp.fc2`, vision.width, vision.mlp);
    norm(`${at}.layer_norm2`, vision.width, true);
  }
  norm(`${tower}.post_layernorm`, vision.width, true);
  linear("multi_modal_projector.linear_1", text.width, vision.width);
  linear("multi_modal_projector.linear_2", text.width, text.width);
  const headSize = text.width / text.heads;
  add("language_model.model.embed_tokens.weight", [text.vocabulary, text.width]);
  for (let i = 0; i < text.layers; i++) {
    const at = `language_model.model.layers.${i}`;
    linear(`${at}.self_attn.q_proj`, text.width, text.width);
    linear(`${at}.self_attn.k_proj`, text.kv * headSize, text.width);
    linear(`${at}.self_attn.v_proj`, text.kv * headSize, text.width);
    linear(`${at}.self_attn.o_proj`, text.width, text.width, false);
    linear(`${at}.mlp.gate_proj`, text.mlp, text.width, false);
    linear(`${at}.mlp.up_proj`, text.mlp, text.width, false);
    linear(`${at}.mlp.down_proj`, text.width, text.mlp, false);
    norm(`${at}.input_layernorm`, text.width, false);
    norm(`${at}.post_attention_layernorm`, text.width, false);
  }
  norm("language_model.model.norm", text.width, false);
  if (!text.tied) add("language_model.lm_head.weight", [text.vocabulary, text.width]);
  return out;
}

/** The config files of the embedded checkpoint with the sizes put in, and a tokenizer. */
async function writeConfig({ vision, text }) {
  const read = async (name) => JSON.parse(await readFile(join(TINY.folder, name), "utf8"));
  const write = (name, value) => writeFile(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  const copied = ["chat_template.json", "processor_config.json"];
  const config = await read("config.json");
  const preprocessor = await read("preprocessor_config.json");
  const generation = await read("generation_config.json");
  Object.assign(config.vision_config, {
    hidden_size: vision.width,
    intermediate_size: vision.mlp,
    num_attention_heads: vision.heads,
    num_hidden_layers: vision.layers,
    image_size: vision.tile,
    patch_size: vision.patch,
  });
  Object.assign(config.text_config, {
    hidden_size: text.width,
    intermediate_size: text.mlp,
    num_attention_heads: text.heads,
    num_key_value_heads: text.kv,
    num_hidden_layers: text.layers,
    vocab_size: text.vocabulary,
    tie_word_embeddings: text.tied,
  });
  config.torch_dtype = { bf16: "bfloat16", f16: "float16", f32: "float32" }[dtype];
  if (values.size === "tiny") copied.push("tokenizer.json", "tokenizer_config.json", "added_tokens.json");
  else {
    config.text_config.max_position_embeddings = 32768;
    // Canvases from 1 x 1 to 6 x 6 tiles, as [height, width].
    const sides = [1, 2, 3, 4, 5, 6].map((n) => n * vision.tile);
    const grids = sides.flatMap((height) => sides.map((width) => [height, width]));
    config.image_grid_pinpoints = grids;
    preprocessor.image_grid_pinpoints = grids;
    preprocessor.size = { height: vision.tile, width: vision.tile };
    await writeRealTokenizer(config, generation, write);
  }
  await Promise.all([
    ...copied.map((name) => copyFile(join(TINY.folder, name), join(folder, name))),
    write("config.json", config),
    write("preprocessor_config.json", preprocessor),
    write("generation_config.json", generation),
  ]);
  if (values.size !== "tiny") {
    const processor = await read("processor_config.json");
    if (processor.num_image_tokens !== undefined)
      processor.num_image_tokens = Math.floor(vision.tile / vision.patch) ** 2;
    await write("processor_config.json", processor);
  }
}

/** The real Qwen2 vocabulary with the two placeholders after it. */
async function writeRealTokenizer(config, generation, write) {
  const tokenizer = JSON.parse(
    gunzipSync(await readFile(root("test/data/qwen2/tokenizer.json.gzip"))).toString("utf8"),
  );
  const [image, video] = [151646, 151647];
  for (const [id, content] of [
    [image, "<image>"],
    [video, "<video>"],
  ]) {
    if (tokenizer.added_tokens.some((token) => token.content === content)) continue;
    tokenizer.added_tokens.push({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    });
  }
  const added = Object.fromEntries(tokenizer.added_tokens.map((token) => [token.content, token.id]));
  Object.assign(config, { image_token_index: image, video_token_index: video });
  const [end, start] = [added["<|im_end|>"], added["<|endoftext|>"]];
  for (const target of [generation, config.text_config]) {
    if ("eos_token_id" in target) target.eos_token_id = end;
    if ("bos_token_id" in target) target.bos_token_id = start;
    if ("pad_token_id" in target) target.pad_token_id = start;
  }
  generation.eos_token_id = end;
  await write("tokenizer.json", tokenizer);
  await write("tokenizer_config.json", {
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    model_max_length: 32768,
    tokenizer_class: "Qwen2Tokenizer",
  });
  await write("added_tokens.json", added);
}

/** Writes the tensors into one file or into shards with an index; returns the bytes of all tensors. */
async function writeWeights(tensors) {
  const bytesOf = ({ shape }) => shape.reduce((product, n) => product * n, BYTES[dtype]);
  const total = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const tables = { weight: table(0, 0.02, seed), scale: table(1, 0.02, seed + 1) };
  const next = xorshift(seed);
  const groups = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled >= (total / shards) * groups.length && groups.length < shards) groups.push([]);
    groups.at(-1).push(tensor);
    filled += bytesOf(tensor);
  }
  const number = (n) => String(n).padStart(5, "0");
  const map = {};
  for (const [i, group] of groups.entries()) {
    const name = shards === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`;
    for (const tensor of group) map[tensor.name] = name;
    await writeFileOf(join(folder, name), group, bytesOf, tables, next);
  }
  if (shards > 1) {
    const index = { metadata: { total_size: total }, weight_map: map };
    await writeFile(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 1)}\n`);
  }
  return total;
}

async function writeFileOf(path, tensors, bytesOf, tables, next) {
  const header = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + bytesOf(tensor);
    header[tensor.name] = { dtype: dtype.toUpperCase(), shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text + " ".repeat((8 - (text.length % 8)) % 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const stream = createWriteStream(path, { highWaterMark: TABLE_BYTES });
  const write = async (bytes) => {
    if (!stream.write(bytes)) await once(stream, "drain");
  };
  await write(length);
  await write(json);
  for (const tensor of values.zeros ? [] : tensors) {
    const source = tables[tensor.kind];
    for (let left = bytesOf(tensor); left > 0; ) {
      const at = (next() % (source.length / 8)) * 8;
      const piece = source.subarray(at, at + left);
      await write(piece);
      left -= piece.length;
    }
  }
  stream.end();
  await once(stream, "finish");
  // A file whose end was never written: the zeros take no room.
  await truncate(path, length.length + json.length + offset);
}

/** Normal numbers of the wanted type. */
function table(mean, deviation, seed) {
  const next = xorshift(seed);
  const values = new Float32Array(TABLE_BYTES / BYTES[dtype]);
  const unit = () => (next() + 0.5) / 2 ** 32;
  for (let i = 0; i < values.length; i += 2) {
    // Box-Muller transform: two normal numbers from two uniform ones.
    const radius = deviation * Math.sqrt(-2 * Math.log(unit()));
    const angle = 2 * Math.PI * unit();
    values[i] = mean + radius * Math.cos(angle);
    values[i + 1] = mean + radius * Math.sin(angle);
  }
  if (dtype === "f32") return Buffer.from(values.buffer);
  const bits = new Uint32Array(values.buffer);
  const half = new Uint16Array(values.length);
  for (let i = 0; i < half.length; i++) half[i] = dtype === "bf16" ? bits[i] >>> 16 : halfOf(bits[i]);
  return Buffer.from(half.buffer);
}

/** f32 bits to f16 bits, cut off; the numbers here are far from its largest, and the tiny ones become 0. */
function halfOf(bits) {
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const sign = (bits >>> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

/** Marsaglia's xorshift of 32 bits. */
function xorshift(seed) {
  let state = Math.imul(seed, 0x9e3779b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
