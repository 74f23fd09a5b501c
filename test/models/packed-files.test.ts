import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import { openCheckpoint } from "../../src/io/checkpoint/checkpoint.js";
import { ALIGNMENT_BYTES } from "../../src/io/checkpoint/packed-tensors.js";
import { convertCheckpoint } from "../../src/models/convert.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import { layerName, planPacked } from "../../src/models/packed-files.js";
import type { Device } from "../../src/runtime/device.js";
import { adapterFiles, checkpointFiles } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";
import { packedFiles } from "../support/packed.js";

const HF = "goldens/hf-05b-like";
const LMMS = "goldens/lmms-7b-like";

let device: Device;
beforeAll(async () => {
  device = await sharedDevice();
});
afterAll(async () => {
  expect(device.pool.liveBytes).toBe(0);
  await checkGivenBack(device);
});

type Files = Awaited<ReturnType<typeof checkpointFiles>>;

/** Index of the first byte that differs; -1 for none. */
function difference(got: Uint8Array, truth: Uint8Array): number {
  return got.length === truth.length
    ? got.findIndex((byte, i) => byte !== truth[i])
    : Math.min(got.length, truth.length);
}

/** Loads a model; returns what every buffer of it has, by label, and how often `pack` ran. */
async function loaded(
  files: Files,
  options: LoadOptions,
): Promise<{ buffers: Map<string, Uint8Array>; packs: number }> {
  const run = vi.spyOn(device, "run");
  const model = await LlavaOneVision.load(files, { device, ...options });
  const packs = run.mock.calls.filter(([{ name }]) => name.startsWith("pack")).length;
  run.mockRestore();
  try {
    const { vision, projector, language, newline } = model.internals.network;
    const linears = [
      ...vision.layers.flatMap(({ attention, mlp }) => [attention.qkv, attention.out, mlp.fc1, mlp.fc2]),
      ...language.layers.flatMap(({ attention, mlp }) => [attention.qkv, attention.out, mlp.gateUp, mlp.down]),
      projector.linear1,
      projector.linear2,
      ...(language.head ? [language.head] : []),
    ];
    const matrices = [language.embedding.table, vision.embeddings.weight, ...linears.map(({ weight }) => weight)];
    const tensors = [
      newline,
      language.norm.weight,
      vision.embeddings.positions,
      ...vision.layers.flatMap(({ norm1, norm2 }) => [norm1.weight, norm1.bias, norm2.weight, norm2.bias]),
      ...language.layers.flatMap(({ inputNorm, postNorm }) => [inputNorm.weight, postNorm.weight]),
      ...linears.flatMap(({ bias }) => bias ?? []),
    ];
    const buffers = new Map<string, Uint8Array>();
    for (const { label, blocks, columns } of matrices) {
      // What lies behind the last column is nobody's where the kernel packed it.
      const isWhole = columns % 32 === 0;
      for (const { tensor } of isWhole ? blocks : []) buffers.set(label, new Uint8Array(await device.read(tensor)));
    }
    for (const tensor of tensors) buffers.set(tensor.label, new Uint8Array(await device.read(tensor)));
    return { buffers, packs };
  } finally {
    model.dispose();
  }
}

const MIXED = { vision: "f16", projector: "bf16", language: "q4", embed: "q8" } as const;

describe.each([["q4"], ["q8"], ["f32"], ["auto"], [MIXED]] as const)("%j", (dtype) => {
  test.each([HF, LMMS])(
    "%s is on the device byte for byte as the original, without the pack kernel",
    async (folder) => {
      const files = await checkpointFiles(folder);
      const truth = await loaded(files, { dtype });
      expect(truth.packs).toBeGreaterThan(0);
      const got = await loaded(await packedFiles(files, { device, dtype }), {});
      expect(got.packs).toBe(0);
      expect([...got.buffers.keys()]).toEqual([...truth.buffers.keys()]);
      for (const [label, bytes] of truth.buffers) expect(difference(got.buffers.get(label)!, bytes), label).toBe(-1);
    },
  );
});

describe("the file", () => {
  test("has its layers in the order of a pass, aligned, in one file or several", async () => {
    const files = await packedFiles(await checkpointFiles(HF), { device, dtype: "q4", shardBytes: 200_000 });
    expect(files.filter(({ name }) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name)).length).toBeGreaterThan(2);
    const shards = await (await openCheckpoint(files)).tensors();
    const one = await packedFiles(await checkpointFiles(HF), { device, dtype: "q4" });
    const whole = await (await openCheckpoint(one)).tensors();
    const { layers } = whole.packed!;
    expect(layers.map(({ name }) => name)).toEqual([
      "vision_tower.vision_model.embeddings",
      ...[0, 1].map((i) => `vision_tower.vision_model.encoder.layers.${i}`),
      "multi_modal_projector",
      "language_model.model.embed_tokens.weight",
      ...[0, 1].map((i) => `language_model.model.layers.${i}`),
      "language_model.model.norm.weight",
      "image_newline",
    ]);
    expect(layers.filter(({ offsetBytes }) => offsetBytes % ALIGNMENT_BYTES !== 0)).toEqual([]);
    expect(shards.packed!.layers.map(({ sha256 }) => sha256)).toEqual(layers.map(({ sha256 }) => sha256));
    expect(shards.shapes).toEqual(whole.shapes);
    await Promise.all([shards.close(), whole.close()]);
  });

  test("is the same from a checkpoint that is quantised or packed already", async () => {
    const made = await packedFiles(await checkpointFiles(LMMS), { device, dtype: "q4" });
    const rows: File[] = [];
    for await (const { name, chunks } of convertCheckpoint(await checkpointFiles(LMMS), { device, dtype: "q4" })) {
      const parts: Uint8Array<ArrayBuffer>[] = [];
      for await (const chunk of chunks) parts.push(new Uint8Array(chunk));
      rows.push(new File(parts, name));
    }
    const bytes = async (files: readonly File[]) =>
      new Uint8Array(await files.find(({ name }) => name === "model.safetensors")!.arrayBuffer());
    const truth = await bytes(made);
    for (const from of [rows, made]) {
      expect(difference(await bytes(await packedFiles(from, { device, dtype: "auto" })), truth)).toBe(-1);
    }
  });
});

test("another dtype, and adapters that are merged, are packed again from the panels", async () => {
  const files = await checkpointFiles(HF);
  const packed = await packedFiles(files, { device, dtype: "auto" });
  const { buffers: truth } = await loaded(files, { dtype: "q8" });
  const { buffers: got, packs } = await loaded(packed, { dtype: "q8" });
  expect(packs).toBeGreaterThan(0);
  for (const [label, bytes] of truth) expect(difference(got.get(label)!, bytes), label).toBe(-1);
  const adapter = await adapterFiles("hf-05b-like");
  const merging = { adapter, mergeAdapters: true, dtype: "f32" } as const;
  const merged = await loaded(files, merging);
  const mergedPacked = await loaded(packed, merging);
  for (const [label, bytes] of merged.buffers) {
    expect(difference(mergedPacked.buffers.get(label)!, bytes), label).toBe(-1);
  }
});

test("an adapter that stays apart leaves the layers as they are", async () => {
  const packed = await packedFiles(await checkpointFiles(HF), { device, dtype: "q4" });
  const adapter = await adapterFiles("hf-05b-like");
  const run = vi.spyOn(device, "run");
  const model = await LlavaOneVision.load(packed, { device, adapter });
  const labels = run.mock.calls.flatMap(([{ name }, { packed }]) => (name === "pack" ? packed!.label : []));
  run.mockRestore();
  model.dispose();
  expect(labels.length).toBeGreaterThan(0);
  expect(labels.filter((label) => !/ [AB]$/.test(label))).toEqual([]); // its own matrices
});

test("an estimate is that of the original in the same dtype", async () => {
  const files = await checkpointFiles(HF);
  const packed = await packedFiles(files, { device, dtype: MIXED });
  const [truth, got] = [
    await LlavaOneVision.estimate(files, { dtype: MIXED }),
    await LlavaOneVision.estimate(packed, {}),
  ];
  expect([got.weightsBytes, got.totalBytes]).toEqual([truth.weightsBytes, truth.totalBytes]);
});

test("layers are named by what they belong to", () => {
  const layout = { vision: "v.model", projector: ["m.projector.0", "m.projector.2"] } as const;
  const names = ["v.model.embeddings.patch_embedding", "v.model.encoder.layers.11.mlp.fc1", "m.projector.2.bias"];
  expect(names.map((name) => layerName(name, layout))).toEqual([
    "v.model.embeddings",
    "v.model.encoder.layers.11",
    "m.projector",
  ]);
  expect(layerName("model.layers.1.self_attn.q_proj+k_proj+v_proj.bias", layout)).toBe("model.layers.1");
  expect(layerName("lm_head", layout)).toBe("lm_head");
});

test("the id of a plan differs with the dtype and with a weight", async () => {
  const idOf = async (files: Files, dtype: "q4" | "q8"): Promise<string> => {
    const { id, close } = await planPacked(files, { device, dtype });
    await close();
    return id;
  };
  const files = await checkpointFiles(HF);
  const tuned = await Promise.all(
    files.map(async (file) => {
      if (file.name !== "model.safetensors") return file;
      const bytes = new Uint8Array(await file.arrayBuffer());
      for (let i = bytes.length >> 1; i < bytes.length; i++) bytes[i]! ^= 1;
      return new File([bytes], file.name);
    }),
  );
  const id = await idOf(files, "q4");
  expect(await idOf(files, "q4")).toBe(id);
  expect(await idOf(files, "q8")).not.toBe(id);
  expect(await idOf(tuned, "q4")).not.toBe(id);
});

test("a weight that the dtype can't hold ends the conversion with its name", async () => {
  const files = await checkpointFiles("goldens/hf5-f16");
  const at = files.findIndex(({ name }) => name === "model.safetensors");
  const bytes = new Uint8Array(await files[at]!.arrayBuffer());
  bytes.fill(0x7c, bytes.length >> 1); // no numbers in f16
  files[at] = new File([bytes], "model.safetensors");
  await expect(packedFiles(files, { device, dtype: "q4" })).rejects.toThrow(CheckpointError);
});

test("the library writes the files that the command writes, in order", async () => {
  const files = await checkpointFiles(HF);
  const options = { dtype: "q4", device, shardBytes: 3e5 } as const;
  const truth = new Map((await packedFiles(files, options)).map((file) => [file.name, file]));
  expect([...truth.keys()].filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(1);
  for await (const { name, sizeBytes, chunks } of convertCheckpoint(files, { ...options, packed: true })) {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
    expect(bytes.length).toBe(sizeBytes);
    expect(difference(bytes, new Uint8Array(await truth.get(name)!.arrayBuffer()))).toBe(-1);
    truth.delete(name);
  }
  expect([...truth.keys()]).toEqual([]);
});
