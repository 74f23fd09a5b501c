import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, OptionError } from "../../src/base/errors.js";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openCheckpoint } from "../../src/io/checkpoint/checkpoint.js";
import { openSafetensors, type TensorData, writeSafetensors } from "../../src/io/checkpoint/safetensors.js";
import type { PackedMatrix } from "../../src/kernels/packed.js";
import { widenQuantized } from "../../src/layers/widen.js";
import { type ConvertOptions, convertCheckpoint } from "../../src/models/convert.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import type { Device } from "../../src/runtime/device.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";

const FOLDER = "goldens/hf-05b-like";
const EMBEDDING = "language_model.model.embed_tokens.weight";
const QUESTION = [{ role: "user" as const, content: "Say something." }];

let device: Device;
beforeAll(async () => {
  device = await sharedDevice();
});
afterAll(async () => {
  expect(device.pool.liveBytes).toBe(0);
  await checkGivenBack(device);
});

async function converted(options: ConvertOptions, from = checkpointFiles(FOLDER)): Promise<File[]> {
  const files: File[] = [];
  for await (const { name, sizeBytes, chunks } of convertCheckpoint(await from, { ...options, device })) {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of chunks) parts.push(new Uint8Array(chunk));
    const file = new File(parts, name);
    expect(file.size).toBe(sizeBytes);
    files.push(file);
  }
  return files;
}

/** Every matrix of a model as it is held, by name, and its answer. */
async function loaded(
  files: Awaited<ReturnType<typeof checkpointFiles>> | File[],
  dtype: LoadOptions["dtype"],
): Promise<{ matrices: Map<string, { type: string; values: ArrayLike<number> }>; tokens: readonly number[] }> {
  const model = await LlavaOneVision.load(files, { device, ...(dtype && { dtype }) });
  try {
    const { vision, projector, language } = model.internals.network;
    const all: PackedMatrix[] = [projector.linear1.weight, projector.linear2.weight, language.embedding.table];
    for (const { attention, mlp } of vision.layers)
      all.push(attention.qkv.weight, attention.out.weight, mlp.fc2.weight);
    for (const { attention, mlp } of language.layers)
      all.push(attention.qkv.weight, mlp.gateUp.weight, mlp.down.weight);
    const matrices = new Map<string, { type: string; values: ArrayLike<number> }>();
    for (const matrix of all) matrices.set(matrix.label, { type: matrix.type, values: await heldMatrix(matrix) });
    const session = model.createSession();
    const { tokens } = await session.generate(QUESTION, { maxNewTokens: 8 }).result;
    return { matrices, tokens };
  } finally {
    model.dispose();
  }
}

describe.each(["q4", "q8", "f16", { vision: "f16", projector: "bf16", language: "q4", embed: "q8" }] as const)(
  "%j",
  (dtype) => {
    test("loads without conversion as the original does with it", async () => {
      const truth = await loaded(await checkpointFiles(FOLDER), dtype);
      const got = await loaded(await converted({ dtype }), undefined);
      expect([...got.matrices.keys()]).toEqual([...truth.matrices.keys()]);
      for (const [name, { type, values }] of truth.matrices) {
        const other = got.matrices.get(name)!;
        expect(other.type, name).toBe(type);
        const same = Array.from(values).every((value, i) => value === other.values[i]);
        expect(same, name).toBe(true);
      }
      expect(got.tokens).toEqual(truth.tokens);
    });
  },
);

describe.each(["q4", "q8"] as const)("%s", (dtype) => {
  test("respects the dtype by part, and is unchanged by a second conversion", async () => {
    const files = await converted({ dtype });
    const again = await converted({ dtype }, Promise.resolve(files));
    for (const [i, file] of files.entries()) {
      const [had, has] = [new Uint8Array(await file.arrayBuffer()), new Uint8Array(await again[i]!.arrayBuffer())];
      expect(has.length, file.name).toBe(had.length);
      expect(
        has.findIndex((byte, at) => byte !== had[at]),
        file.name,
      ).toBe(-1);
    }
    const index = await (await openCheckpoint(files)).tensors();
    const stored = index.entries.get(EMBEDDING)!;
    const rows = widenQuantized(await index.read(stored, 0, stored.entry.lengthBytes), stored.quantized!);
    await index.close();
    const model = await LlavaOneVision.load(files, { device, dtype: "f32" });
    const held = await heldMatrix(model.internals.network.language.embedding.table);
    model.dispose();
    expect(rows.every((value, i) => value === held[i])).toBe(true);
    const wide = await converted({ dtype: "f32" }, Promise.resolve(files));
    const file = await openSafetensors(bytesSource(new Uint8Array(await wide[0]!.arrayBuffer()), "wide"));
    expect(file.entries.get(EMBEDDING)!.dtype).toBe("F32");
  });
});

test("in several files", async () => {
  const files = await converted({ dtype: "q4", shardBytes: 200_000 });
  expect(files.filter(({ name }) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name)).length).toBeGreaterThan(2);
  const one = await loaded(await converted({ dtype: "q4" }), undefined);
  expect((await loaded(files, undefined)).tokens).toEqual(one.tokens);
});

test("of another spelling, from several files, with a head of its own", async () => {
  const lmms = "goldens/lmms-7b-like";
  const files = await converted({ dtype: "q4", shardBytes: 400_000 }, checkpointFiles(lmms));
  const index = await (await openCheckpoint(files)).tensors();
  expect(index.entries.get("lm_head.weight")!.quantized?.type).toBe("q4");
  expect(index.entries.get("model.norm.weight")!.entry.dtype).toBe("BF16");
  await index.close();
  const truth = await loaded(await checkpointFiles(lmms), "q4");
  expect((await loaded(files, undefined)).tokens).toEqual(truth.tokens);
});

test("the types of norms and biases stay", async () => {
  const before = await (await openCheckpoint(await checkpointFiles(FOLDER))).tensors();
  const after = await (await openCheckpoint(await converted({ dtype: "q8" }))).tensors();
  expect(after.shapes).toEqual(before.shapes);
  for (const [name, { entry }] of before.entries) {
    const { entry: now, quantized } = after.entries.get(name)!;
    const kept = entry.shape.length !== 2 || /position_embedding/.test(name);
    expect(quantized?.type ?? now.dtype, name).toBe(kept ? entry.dtype : "q8");
  }
  await Promise.all([before.close(), after.close()]);
});

test.each([0, -1, Number.NaN])("files of %d bytes are refused", async (shardBytes) => {
  await expect(converted({ dtype: "q4", shardBytes })).rejects.toThrow(OptionError);
});

test("an unknown part is refused", async () => {
  await expect(converted({ dtype: { visoin: "q4" } as LoadOptions["dtype"] & object })).rejects.toThrow(OptionError);
});

describe("a converted model that was tampered with", () => {
  const KEY = "ocellus.quantized";
  const DOWN = "language_model.model.layers.0.mlp.down_proj.weight";
  const NORM = "language_model.model.norm.weight";
  type Tensors = Record<string, { type: string; shape: number[] }>;

  /** Loads the q8 files after `change` of what the metadata says of their tensors. */
  const load = async (change: (tensors: Tensors) => Tensors | undefined): Promise<unknown> => {
    const files = await converted({ dtype: "q8" });
    const at = files.findIndex(({ name }) => name === "model.safetensors");
    const bytes = new Uint8Array(await files[at]!.arrayBuffer());
    const { entries, metadata } = await openSafetensors(bytesSource(bytes, "model.safetensors"));
    const tensors = change(JSON.parse(metadata.get(KEY)!).tensors);
    const data = [...entries.values()].map(({ name, dtype, shape, offsetBytes, lengthBytes }): TensorData => {
      return { name, dtype, shape, bytes: bytes.subarray(offsetBytes, offsetBytes + lengthBytes) };
    });
    const parts = writeSafetensors(data, tensors && { [KEY]: JSON.stringify({ version: 1, tensors }) });
    files[at] = new File(
      parts.map((part) => new Uint8Array(part)),
      "model.safetensors",
    );
    return LlavaOneVision.load(files, { device });
  };

  test.each<[string, (tensors: Tensors) => Tensors | undefined, RegExp]>([
    ["no metadata", () => undefined, /272, the columns of the embedding table/],
    ["none of one matrix", ({ [DOWN]: _, ...rest }) => rest, /dtype U8, wanted F32, F16 or BF16/],
    ["a row shorter within its padding", (t) => ({ ...t, [EMBEDDING]: { type: "q8", shape: [640, 255] } }), /25[56]/],
    ["q4 for q8", (t) => ({ ...t, [EMBEDDING]: { type: "q4", shape: [640, 256] } }), /U8 \[640, 160\]/],
    ["a norm", (t) => ({ ...t, [NORM]: { type: "q8", shape: [1, 256] } }), /BF16 \[256\]/],
  ])("%s", async (_what, change, said) => {
    const loading = load(change);
    await expect(loading).rejects.toThrow(CheckpointError);
    await expect(loading).rejects.toThrow(said);
    expect(device.pool.liveBytes).toBe(0);
  });
});

describe("metadata that lies", () => {
  const bytes = new Uint8Array(2 * 40);
  const tensor: TensorData = { name: "w", dtype: "U8", shape: [2, 40], bytes };
  const opened = async (metadata: Record<string, string>): Promise<unknown> => {
    const parts = writeSafetensors([tensor], metadata).map((part) => new Uint8Array(part));
    return (await openCheckpoint([new File(parts, "model.safetensors")])).tensors();
  };
  const matrix = (type: string, shape: number[], name = "w") => ({
    "ocellus.quantized": JSON.stringify({ version: 1, tensors: { [name]: { type, shape } } }),
  });

  test("the truth is taken", async () => {
    await expect(opened(matrix("q4", [2, 64]))).resolves.toBeDefined();
  });

  test.each([
    ["another width", matrix("q4", [2, 65]), "U8 [2, 60]"],
    ["more rows", matrix("q4", [3, 64]), "U8 [3, 40]"],
    ["a width of nothing", matrix("q4", [2, 0]), "shape [rows, inner]"],
    ["three sizes", matrix("q4", [2, 8, 8]), "shape [rows, inner]"],
    ["an unknown type", matrix("q3", [2, 64]), "type q8 or q4"],
    ["a tensor that is not there", matrix("q4", [2, 64], "v"), "no such tensor"],
    ["another version", { "ocellus.quantized": '{"version":2,"tensors":{}}' }, "version 2"],
    ["no JSON", { "ocellus.quantized": "{" }, "double quotes"],
  ])("%s", async (_what, metadata, said) => {
    const opening = opened(metadata);
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(said);
  });
});
