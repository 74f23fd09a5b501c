import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { create } from "webgpu";
import { argmax } from "../../src/kernels/argmax.js";
import { attention } from "../../src/kernels/attention.js";
import { attentionWeights } from "../../src/kernels/attention-weights.js";
import { chooseToken } from "../../src/kernels/choose-token.js";
import { copyRows } from "../../src/kernels/copy-rows.js";
import type { Epilogue } from "../../src/kernels/epilogue.js";
import { gather } from "../../src/kernels/gather.js";
import type { CacheType } from "../../src/kernels/kv-format.js";
import { paddedRow } from "../../src/kernels/kv-format.js";
import { matmul } from "../../src/kernels/matmul.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { pack, quantizeRows } from "../../src/kernels/pack.js";
import { PackedMatrix, type WeightType } from "../../src/kernels/packed.js";
import { patchify } from "../../src/kernels/patchify.js";
import { resample } from "../../src/kernels/resample.js";
import { rope } from "../../src/kernels/rope.js";
import { swiglu } from "../../src/kernels/swiglu.js";
import { Device } from "../../src/runtime/device.js";
import { Kernel } from "../../src/runtime/kernel.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { ADAPTERS, forge } from "../support/adapters.js";

// Dawn's null backend has all features and computes nothing: what an adapter of any kind would be given is compiled here.

const TYPES: readonly WeightType[] = ["f32", "f16", "bf16", "q8", "q4"];
const CACHES: readonly CacheType[] = ["f32", "f16", "q8"];

/** Kept for ever: a collected instance takes its devices and the process down with it. */
const dawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);

/** Of kernels that ran, over all tests. */
const compiled = new Set<string>();
const texts = new Set<string>();

let device: Device;
beforeEach(async () => {
  const adapter = await dawn.requestAdapter();
  const wanted = ["subgroups", "shader-f16", "chromium-experimental-subgroup-matrix"] as GPUFeatureName[];
  device = Device.from(await adapter!.requestDevice({ requiredFeatures: wanted }));
  const run = device.run.bind(device);
  device.run = (kernel, ...others) => {
    compiled.add(kernel.name);
    texts.add(kernel.text);
    run(kernel, ...others);
  };
});
afterEach(() => device.dispose());

/** Runs `work` and waits until its kernels have compiled; the error has the numbered lines of one that did not. */
async function compile(work: () => void): Promise<void> {
  device.scope(work);
  await device.sync();
}

const floats = (...shape: number[]): Tensor => device.empty(shape, "f32", "floats");

const INNER = 64;
const COLUMNS = 96;

/** All that layers ask of a product, with tensors for `rows` rows. */
function epilogues(rows: number): Epilogue[] {
  const [bias, residual] = [floats(COLUMNS), floats(rows, COLUMNS)];
  const norm = { weight: floats(INNER), epsilon: 1e-6 };
  return [
    {},
    { bias },
    { residual },
    { bias, residual },
    { bias, activation: "gelu_tanh" },
    { bias, activation: "gelu_erf" },
    { norm },
    { norm, bias },
    { norm, swiglu: true },
    { swiglu: true },
  ];
}

describe.each(Object.entries(ADAPTERS))("%s", (_name, facts) => {
  beforeEach(() => forge(device, { ...facts, maxWorkgroupBytes: Math.min(facts.maxWorkgroupBytes ?? 16384, 16384) }));

  test.each(TYPES)("products with weights in %s", (type) =>
    compile(() => {
      const weights = PackedMatrix.allocate(device, COLUMNS, INNER, type, "W");
      for (const rows of [1, 2, 3, 7, 17, 33]) {
        for (const epilogue of epilogues(rows)) matmul(floats(rows, INNER), weights, epilogue);
      }
      // Many columns and rows, which take other tiles.
      const wide = PackedMatrix.allocate(device, 4096, 8, type, "wide");
      for (const gated of [false, true]) matmul(floats(1024, 8), wide, { swiglu: gated });
      matmul(floats(2, 9), PackedMatrix.allocate(device, COLUMNS, 9, type, "narrow"));
    }),
  );

  test.each(CACHES)("attention over keys and values in %s", (type) =>
    compile(() => {
      for (const headSize of [64, 72, 128]) {
        for (const [queries, keys] of [
          [1, 2048],
          [2, 40],
          [33, 40],
        ] as const) {
          for (const heads of [2, 4]) {
            const cache = device.empty([keys, paddedRow(2 * headSize, type)], type, "cache");
            const q = { tensor: floats(queries, heads * headSize), first: 0 };
            const k = { tensor: cache, first: 0 };
            const sizes = { batches: 1, queries, keys, heads, keyValueHeads: 2, headSize };
            attention(q, k, k, { ...sizes, causalFrom: keys - queries }, "y");
            if (queries === 1) attentionWeights(q, k, sizes, "weights");
          }
        }
      }
    }),
  );

  test("tables, packing and rows", () =>
    compile(() => {
      const ids = device.empty([3], "u32", "ids");
      for (const type of TYPES) {
        const matrix = PackedMatrix.allocate(device, COLUMNS, INNER, type, "W");
        gather(ids, matrix, "rows");
        for (const source of TYPES) {
          if (type === "q8" || type === "q4")
            quantizeRows(device.empty([COLUMNS, INNER], "u32", "s"), source, 8, 9, type);
          for (const interleave of [undefined, 0, 1] as const)
            pack(device.empty([COLUMNS, INNER], "u32", "s"), source, 8, matrix, 0, interleave);
        }
      }
      for (const type of CACHES) {
        const cache = () => device.empty([8, paddedRow(64, type)], type, "cache");
        rope(floats(3, 256), floats(8, 32), floats(8, 32), cache(), cache(), 0, 64);
      }
      rmsNorm(floats(2, INNER), floats(INNER), 1e-6);
      layerNorm(floats(2, INNER), floats(INNER), floats(INNER), 1e-6);
      swiglu(floats(2, INNER));
      copyRows(floats(4, 8), device.empty([2, 2], "u32", "rows"), floats(4, 8));
      resample([{ first: 0, tensor: floats(4, 8) }], device.empty([2, 4], "u32", "s"), floats(2, 2), "y");
      patchify(device.empty([1, 28, 28, 3], "u8", "pixels"), floats(3, 256), 14);
    }));

  test("choices of tokens", () =>
    compile(() => {
      for (const count of [100, 151936]) {
        argmax(floats(1, count), count);
        const token = device.empty([1], "u32", "token");
        const answer = device.empty([4], "u32", "answer");
        const mask = device.empty([Math.ceil(count / 32)], "u32", "mask");
        const penalties = { repetition: 1.2, presence: 1, frequency: 1 };
        const sampling = { temperature: 1, topK: 5, topP: 0.9, minP: 0.1, rngKey: [1, 2] as const };
        for (const counts of [undefined, device.empty([count], "u32", "counts")]) {
          for (const masked of [undefined, mask]) {
            for (const sampled of [undefined, sampling]) {
              const rules = { count, at: 0, penalties, mask: masked, sampling: sampled };
              chooseToken(floats(1, count), { token, answer, counts }, rules);
            }
          }
        }
      }
    }));
});

test("no kernel is left out", async () => {
  const folder = new URL("../../src/kernels/", import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));
  const modules: object[] = await Promise.all(files.map((file) => import(new URL(file, folder).pathname)));
  const names = modules.flatMap((module) =>
    Object.values(module).flatMap((value) => (value instanceof Kernel ? [value.name] : [])),
  );
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !compiled.has(name))).toEqual([]);
  console.log(`${texts.size} variants of ${compiled.size} kernels compiled`);
});

test("a kernel that does not compile is reported with numbered lines", async () => {
  const broken = new Kernel(
    "broken",
    "@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1)\nfn main() { y[0] = nothing; }",
    {},
  );
  await expect(compile(() => device.run(broken, { y: floats(1) }, {}, [1]))).rejects.toThrow(
    /kernel broken.*line 3:20 error: unresolved value 'nothing'[\s\S]*\n +3 fn main/,
  );
});
