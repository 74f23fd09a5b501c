import { describe, expect, test } from "vitest";
import { AbortedError, CheckpointError } from "../../src/base/errors.js";
import { quantizeRows } from "../../src/bench/reference/pack.js";
import { quantizedMetadata } from "../../src/io/checkpoint/quantized.js";
import type { TensorData } from "../../src/io/checkpoint/safetensors.js";
import { type LoadProgress, WeightLoader } from "../../src/layers/weights.js";
import { narrowBF16, narrowF16, widenBF16, widenF16 } from "../../src/runtime/dtype.js";
import { expectSame } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { floatTensor, indexOf } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();

async function loaderOf(tensors: readonly TensorData[], metadata?: Record<string, string>): Promise<WeightLoader> {
  return new WeightLoader(held.device, await indexOf(tensors, metadata));
}

const bytesOf = (values: Float32Array | Uint16Array) => new Uint8Array(values.buffer);
const half = (name: string, dtype: "F16" | "BF16", values: Float32Array): TensorData => {
  const bytes = bytesOf(dtype === "F16" ? narrowF16(values) : narrowBF16(values));
  return { name, dtype, shape: [values.length], bytes };
};

test("small tensors are widened to f32, one by one or into parts of another", async () => {
  const { device } = held;
  const values = normals(6, 1);
  const loader = await loaderOf([
    floatTensor("a.one", [2, 3], values),
    half("a.two", "F16", values),
    half("a.b.three", "BF16", values),
  ]);
  const weights = loader.root().at("a");
  const arena = device.arena("weights");
  const [one, two, joined] = arena.run(() => {
    const joined = device.empty([12], "f32", "joined");
    weights.part("two", [6], joined, 6);
    weights.at("b").part("three", [6], joined, 0);
    return [weights.tensor("one", [2, 3]), weights.tensor("two", [6]), joined];
  });
  loader.check("checkpoint", () => false);
  await loader.load({});
  expect([one.label, one.shape]).toEqual(["a.one", [2, 3]]);
  expect(await one.read()).toEqual(values);
  const [f16, bf16] = [widenF16(narrowF16(values)), widenBF16(narrowBF16(values))];
  expect(await two.read()).toEqual(f16);
  expect([...(await joined.read())]).toEqual([...bf16, ...f16]);
  arena.dispose();
});

test("a large matrix comes in pieces of whole rows, an even number each, with its progress", async () => {
  const { device } = held;
  const [rows, inner] = [1001, 999];
  const values = Float32Array.from({ length: rows * inner }, (_, i) => i);
  const loader = await loaderOf([floatTensor("m", [rows, inner], values), floatTensor("v", [3], normals(3, 1))]);
  const arena = device.arena("weights");
  const pieces: [number, number][] = [];
  const copy = arena.run(() => device.empty([rows, inner], "f32", "copy"));
  const small = arena.run(() => loader.root().tensor("v", [3]));
  loader.root().stream("m", [rows, inner], "f32", (chunk, type, first, count) => {
    expect(type).toBe("f32");
    pieces.push([first, count]);
    device.copy(chunk, 0, copy, first * inner * 4, count * inner * 4);
  });
  expect(loader.storageDtypes).toEqual(new Map([["m", "f32"]]));
  const progress: LoadProgress[] = [];
  await loader.load({ onProgress: (p) => progress.push(p) });
  // 2 MiB hold 524 rows.
  expect(pieces).toEqual([
    [0, 524],
    [524, 477],
  ]);
  expectSame(await copy.read(), values);
  const totalBytes = rows * inner * 4 + 12;
  expect(progress.map(({ loadedBytes, tensor }) => [loadedBytes, tensor])).toEqual([
    [524 * inner * 4, "m"],
    [rows * inner * 4, "m"],
    [totalBytes, "v"],
  ]);
  expect(new Set(progress.map((p) => p.totalBytes))).toEqual(new Set([totalBytes]));
  expect(await small.read()).toEqual(normals(3, 1));
  arena.dispose();
});

test("an abort ends the loading between two pieces", async () => {
  const { device } = held;
  const loader = await loaderOf([floatTensor("m", [600, 1000], new Float32Array(600_000))]);
  const aborter = new AbortController();
  let pieces = 0;
  loader.root().stream("m", [600, 1000], "f32", () => {
    pieces++;
    aborter.abort();
  });
  await expect(loader.load({ signal: aborter.signal })).rejects.toThrow(AbortedError);
  expect(pieces).toBe(1);
  await device.sync();
  device.pool.trim();
});

describe("storage dtypes", () => {
  test("are those of the checkpoint where none is asked for", async () => {
    const q8 = { type: "q8", shape: [2, 40] } as const;
    const bytes = quantizeRows(normals(80, 1), 40, "q8");
    const loader = await loaderOf(
      [
        half("half", "F16", normals(4, 1)),
        half("brain", "BF16", normals(4, 1)),
        { name: "matrix", dtype: "U8", shape: [2, bytes.length / 2], bytes },
      ],
      quantizedMetadata(new Map([["matrix", q8]])),
    );
    const root = loader.root();
    expect(["half", "brain", "matrix", "absent"].map((name) => root.typeOf(name))).toEqual([
      "f16",
      "bf16",
      "q8",
      "f32",
    ]);
    expect(root.storedAs("q4").at("x").typeOf("half")).toBe("q4");
    expect([loader.has("half"), loader.has("absent")]).toEqual([true, false]);
  });
});

describe("one error for all that is wrong", () => {
  const faultsOf = async (names: readonly string[], ask: (loader: WeightLoader) => void, ignored = /^$/) => {
    const loader = await loaderOf([
      ...names.map((name) => floatTensor(name, [2, 3], normals(6, 1))),
      { name: "whole", dtype: "I32", shape: [2], bytes: new Uint8Array(8) },
    ]);
    held.device.scope(() => ask(loader));
    try {
      loader.check("tiny", (name) => ignored.test(name));
    } catch (cause) {
      expect(cause).toBeInstanceOf(CheckpointError);
      return (cause as CheckpointError).fault;
    }
    return undefined;
  };

  test("tensors that are missing, of another shape or dtype, or unused", async () => {
    const fault = await faultsOf(["a", "b"], (loader) => {
      loader.root().tensor("a", [3, 2]);
      loader.root().tensor("c", [4]);
      loader.root().tensor("whole", [2]);
    });
    expect(fault).toMatchObject({ where: "tiny", expected: "the tensors that its config.json describes" });
    expect(fault?.got.split("; ")).toEqual([
      "tensor a in model.safetensors has shape [2, 3], wanted [3, 2]",
      "tensor c [4] is missing",
      "tensor whole in model.safetensors has dtype I32, wanted F32, F16 or BF16",
      "tensor b in model.safetensors is not used",
    ]);
  });

  test("six at most are told, and how many more there are", async () => {
    const fault = await faultsOf(["a"], (loader) => {
      for (let i = 0; i < 9; i++) loader.root().tensor(`absent${i}`, [1]);
    });
    expect(fault?.got).toMatch(/^tensor absent0 \[1\] is missing; .*absent5 \[1\] is missing; and 5 more$/);
  });

  test("not those that are known to be unused", async () => {
    const ask = (loader: WeightLoader) => void loader.root().tensor("a", [2, 3]);
    expect(await faultsOf(["a", "b.position_ids"], ask, /position_ids$|^whole$/)).toBeUndefined();
  });
});

test("weights that are not finite, or that their storage dtype can't hold, end the load with tensor and row", async () => {
  const { device } = held;
  const [rows, inner] = [1001, 999];
  for (const [value, target] of [
    [Number.NaN, "f32"],
    [Number.POSITIVE_INFINITY, "bf16"],
    [Number.NEGATIVE_INFINITY, "q8"],
    [Number.NaN, "q4"],
    [65536, "f16"],
  ] as const) {
    const values = new Float32Array(rows * inner);
    values[700 * inner + 3] = value; // in the second piece
    const loader = await loaderOf([floatTensor("m", [rows, inner], values)]);
    let streamed = 0;
    loader.root().stream("m", [rows, inner], target, () => streamed++);
    await expect(loader.load()).rejects.toThrow(/tensor m, row 700, column 3: expected (finite|numbers below 65,520)/);
    expect(streamed).toBe(1);
  }
  const small = await loaderOf([half("v", "BF16", Float32Array.of(1, 2, 70000, Number.NaN))]);
  const arena = device.arena("weights");
  arena.run(() => small.root().tensor("v", [4]));
  await expect(small.load()).rejects.toThrow(/tensor v, row 3: expected finite numbers, got NaN/);
  arena.dispose();
});
