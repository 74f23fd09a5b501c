import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { type CheckpointLocation, openCheckpoint } from "../../../src/io/checkpoint/checkpoint.js";
import { readFamily } from "../../../src/models/llava-onevision/family.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import { TINY_FOLDER } from "../../support/damaged.js";

// What people have in place of a checkpoint, or in place of one of its files: it is named, with what helps.

const LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
const PAGE = "<!DOCTYPE html><html><title>Sign in</title>";
const ADAPTER = JSON.stringify({ peft_type: "LORA", base_model_name_or_path: "llava-hf/base" });
const ZIP = `PK\x03\x04\x14${"\0".repeat(21)}\x10\0\0\0archive/data.pkl${"\0".repeat(40)}`;
/** The embedded checkpoint in two shards' names; the shards themselves are not needed. */
const INDEX = JSON.stringify({
  weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "foreign "));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function refusal(location: CheckpointLocation, fetch?: typeof globalThis.fetch): Promise<string> {
  const opened = fetch
    ? openCheckpoint(location, { fetch, retryDelayMilliseconds: 1 }).then(readFamily)
    : LlavaOneVision.estimate(location);
  const error: unknown = await opened.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as Error).message;
}

const latin1 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

async function folderOf(name: string, files: Record<string, string>, base?: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  if (base) await cp(base, path, { recursive: true, filter: (from) => !from.includes("examples") });
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), latin1(text));
  }
  return path;
}

/** Files beside those of the embedded checkpoint, or in their place; and what the message must name. */
const SPOILT: [string, Record<string, string>, string[]][] = [
  ["weights of Git LFS", { "model.safetensors": LFS }, ["model.safetensors", "Git LFS pointer", "git lfs pull"]],
  ["a config of Git LFS", { "config.json": LFS }, ["config.json", "Git LFS pointer", "git lfs pull"]],
  ["a page as config", { "config.json": PAGE }, ["config.json", "web page (HTML)"]],
  ["an error as config", { "config.json": '{"error":"Invalid credentials"}' }, ["config.json", "Invalid credentials"]],
  ["GGUF as weights", { "model.safetensors": "GGUF\x03\0\0\0" }, ["model.safetensors", "GGUF"]],
  ["PyTorch as weights", { "model.safetensors": ZIP }, ["model.safetensors", "PyTorch", "save_pretrained"]],
  ["a page as weights", { "model.safetensors": PAGE }, ["model.safetensors", "web page"]],
  ["weights that were begun", { "model.safetensors": "\0".repeat(4096) }, ["model.safetensors", "zeros"]],
  ["weights under download", { "model.safetensors.aria2": "x" }, ["model.safetensors", "still being downloaded"]],
];

/** Whole folders. */
const FOLDERS: [string, Record<string, string>, string[]][] = [
  [
    "an adapter",
    { "adapter_config.json": ADAPTER, "adapter_model.safetensors": "x" },
    ["adapter (PEFT, LORA) for llava-hf/base", "merge_and_unload"],
  ],
  [
    "GGUF alone",
    { "llava-Q4_K_M.gguf": "GGUF\x03\0\0\0", "README.md": "x" },
    ["llava-Q4_K_M.gguf", "GGUF", "llava-hf/"],
  ],
  ["GGUF without its ending", { "sha256-aa": "GGUF\x03\0\0\0" }, ["sha256-aa", "GGUF"]],
  [
    "PyTorch alone",
    { "pytorch_model.bin": ZIP, "config.json": '{"model_type":"llava_onevision"}' },
    ["pytorch_model.bin", "PyTorch", "safetensors"],
  ],
  ["ONNX in a folder", { "model.onnx": "\x08\x07\x12\x07pytorch" }, ["model.onnx", "ONNX"]],
  ["Flax", { "flax_model.msgpack": "\x81\xa5model\x82" }, ["Flax"]],
  [
    "diffusers",
    { "model_index.json": '{"_class_name":"StableDiffusionPipeline"}' },
    ["diffusers", "StableDiffusionPipeline"],
  ],
  ["sentence-transformers", { "modules.json": "[]", "1_Pooling/config.json": "{}" }, ["sentence-transformers"]],
  ["a subfolder", { "README.md": "x", "llava/config.json": "{}" }, ["subfolder llava", "a subfolder/llava"]],
  [
    "a folder of the cache",
    { "blobs/x": "x", "refs/main": "abc", "snapshots/abc/config.json": "{}" },
    ["Hugging Face cache", "snapshots/abc"],
  ],
  [
    "an unfinished download",
    { "config.json": '{"model_type":"llava_onevision"}', "model.safetensors.part": "x" },
    ["not finished", "model.safetensors.part"],
  ],
  [
    "an unfinished download of hf",
    { "config.json": '{"model_type":"llava_onevision"}', ".cache/huggingface/download/ab.incomplete": "x" },
    ["not finished", "ab.incomplete"],
  ],
  [
    "missing shards",
    { "config.json": '{"model_type":"llava_onevision"}', "model.safetensors.index.json": INDEX },
    ["missing: model-00001-of-00002.safetensors, model-00002-of-00002.safetensors"],
  ],
  [
    "another family",
    { "config.json": '{"model_type":"qwen2_vl"}' },
    ["config.json: model_type", "Qwen2-VL", "llava-hf/"],
  ],
  ["nothing", {}, ["no files"]],
  ["other things", { "a.txt": "x", "b.txt": "x" }, ["expected config.json", "beside a.txt, b.txt"]],
];

describe("folders", () => {
  test.each(SPOILT)("%s", async (name, files, words) => {
    const path = await folderOf(name, files, TINY_FOLDER);
    const message = await refusal(path);
    for (const word of [path, ...words]) expect(message).toContain(word);
  });

  test.each(FOLDERS)("%s", async (name, files, words) => {
    const path = await folderOf(name, files);
    const message = await refusal(path);
    for (const word of [path, ...words]) expect(message).toContain(word);
  });

  test("a tokenizer in an older form", async () => {
    const path = await folderOf("old tokenizer", { "vocab.json": "{}", "merges.txt": "" }, TINY_FOLDER);
    await rm(join(path, "tokenizer.json"));
    const error: unknown = await LlavaOneVision.load(path).catch((cause: unknown) => cause);
    expect(String(error)).toMatch(/expected tokenizer\.json, got merges\.txt and vocab\.json, .*AutoTokenizer/);
  });
});

test.each<[string, string, string[]]>([
  ["model.gguf", "GGUF\x03\0\0\0", ["got a file, a GGUF file"]],
  ["renamed", "GGUF\x03\0\0\0", ["got a file, a GGUF file"]],
  ["pytorch_model.bin", ZIP, ["PyTorch"]],
  ["model.safetensors", "\x02\0\0\0\0\0\0\0{}", ["a safetensors file", "give its folder"]],
  ["config.json", "{}", ["got a file", "give its folder"]],
  ["notes", "plain words", ["got a file —"]],
])("the file %s in place of a folder", async (name, text, words) => {
  const path = join(await folderOf(`file ${name}`, { [name]: text }), name);
  const message = await refusal(path);
  for (const word of [`${path}: expected a folder`, ...words]) expect(message).toContain(word);
});

test("dropped files are named as a folder's are", async () => {
  const file = (name: string, text: string): File => new File([latin1(text)], name);
  expect(await refusal([file("x.gguf", "GGUF\x03\0\0\0")])).toMatch(/x\.gguf, a GGUF file/);
  expect(await refusal([file("config.json", LFS)])).toMatch(/config\.json: .*Git LFS/);
  expect(await refusal([file("adapter_config.json", ADAPTER)])).toMatch(/adapter \(PEFT, LORA\) for llava-hf\/base/);
  const within = Object.assign(file("config.json", "{}"), { webkitRelativePath: "top/llava/config.json" });
  expect(await refusal([within])).toMatch(/subfolder llava — give that folder: llava/);
});

test("what a URL answers", async () => {
  const served = (files: Record<string, string>, page = false): typeof fetch => {
    return async (input) => {
      const name = decodeURIComponent(new URL(String(input)).pathname.slice("/models/".length));
      const text = files[name];
      if (text !== undefined) return new Response(latin1(text));
      return page
        ? new Response(PAGE, { headers: { "content-type": "text/html" } })
        : new Response("no", { status: 404 });
    };
  };
  const at = (path: string, files: Record<string, string>, page = false): Promise<string> =>
    refusal(`https://host.test/models/${path}`, served(files, page));
  expect(await at("tiny", { "tiny/config.json": LFS })).toMatch(/config\.json: .*Git LFS/);
  expect(await at("tiny", { "tiny/config.json": PAGE })).toMatch(/config\.json: .*web page/);
  expect(await at("tiny", {}, true)).toMatch(/expected config\.json, got a web page \(HTML\) in its place/);
  expect(await at("tiny", { "tiny/adapter_config.json": ADAPTER })).toMatch(/adapter .* llava-hf\/base/);
  expect(await at("x.gguf", { "x.gguf": "GGUF\x03\0\0\0" })).toMatch(/got a file, a GGUF file/);
  expect(await at("tiny/model.safetensors", { "tiny/model.safetensors": "\x02\0\0\0\0\0\0\0{}" })).toMatch(
    /give its folder, https:\/\/host\.test\/models\/tiny/,
  );
  expect(await at("tiny", {})).toMatch(/expected config\.json, got no such file — check the address/);
});
