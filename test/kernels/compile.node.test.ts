import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { create } from "webgpu";
import { adamw } from "../../src/kernels/adamw.js";
import { argmax } from "../../src/kernels/argmax.js";
import { attention } from "../../src/kernels/attention.js";
import { attentionGradient } from "../../src/kernels/attention-gradient.js";
import { attentionWeights } from "../../src/kernels/attention-weights.js";
import { chooseToken } from "../../src/kernels/choose-token.js";
import { chooseTokens } from "../../src/kernels/choose-tokens.js";
import { addColumnSums } from "../../src/kernels/column-sums.js";
import { copyRows } from "../../src/kernels/copy-rows.js";
import { crossEntropy } from "../../src/kernels/cross-entropy.js";
import { dropout } from "../../src/kernels/dropout.js";
import type { Epilogue } from "../../src/kernels/epilogue.js";
import { gather } from "../../src/kernels/gather.js";
import { geluGradient } from "../../src/kernels/gelu-gradient.js";
import { gradientProduct } from "../../src/kernels/gradient-product.js";
import { sequenceTables } from "../../src/kernels/kv-blocks.js";
import type { CacheType } from "../../src/kernels/kv-format.js";
import { paddedRow } from "../../src/kernels/kv-format.js";
import { matmul } from "../../src/kernels/matmul.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { normGradient } from "../../src/kernels/norm-gradient.js";
import { pack, quantizeRows } from "../../src/kernels/pack.js";
import { PackedMatrix, type WeightType } from "../../src/kernels/packed.js";
import { patchify } from "../../src/kernels/patchify.js";
import { keepRankBlocks } from "../../src/kernels/rank-blocks.js";
import { resample } from "../../src/kernels/resample.js";
import { rope } from "../../src/kernels/rope.js";
import { rotate } from "../../src/kernels/rotate.js";
import { rotatedAttention, rotatedAttentionOfSequences } from "../../src/kernels/rotated-attention.js";
import { scatterRows } from "../../src/kernels/scatter-rows.js";
import { addSumSquares } from "../../src/kernels/sum-squares.js";
import { swiglu } from "../../src/kernels/swiglu.js";
import { swigluGradient } from "../../src/kernels/swiglu-gradient.js";
import { addWeightGradient, inputGradient } from "../../src/layers/gradient-products.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { Device } from "../../src/runtime/device.js";
import { Kernel } from "../../src/runtime/kernel.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { ADAPTERS, forge } from "../support/adapters.js";
import { ROOT } from "../support/cli.js";
import { missingForDeno, runInDeno } from "../support/deno.js";
import { AMD_FAMILIES, compileForAMD, missingForRadv, textOf } from "../support/radv.js";
import { memoryOf } from "../support/wgsl-memory.js";

// Dawn's null backend has all features and computes nothing: what an adapter of any kind would be given is compiled here.

const TYPES: readonly WeightType[] = ["f32", "f16", "bf16", "q8", "q4"];
const CACHES: readonly CacheType[] = ["f32", "f16", "q8"];

/** Kept for ever: a collected instance takes its devices and the process down with it. */
const dawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);

/** Of kernels that ran, over all tests. */
const compiled = new Set<string>();
const variants = new Map<string, Kernel>();
/** Those of adapters that are GPUs. */
const onGPU = new Map<string, Kernel>();
/** `enable` lines that an adapter without the feature would get. */
const misplaced = new Set<string>();

let device: Device;
beforeEach(async () => {
  const adapter = await dawn.requestAdapter();
  const wanted = ["subgroups", "shader-f16", "chromium-experimental-subgroup-matrix"] as GPUFeatureName[];
  device = Device.from(await adapter!.requestDevice({ requiredFeatures: wanted }));
  const run = device.run.bind(device);
  device.run = (kernel, ...others) => {
    compiled.add(kernel.name);
    variants.set(kernel.text, kernel);
    if (!device.facts.onCPU) onGPU.set(kernel.text, kernel);
    for (const feature of enabledIn(kernel.text)) {
      if (!mayEnable(device.facts, feature)) misplaced.add(`${kernel.name} enables ${feature}`);
    }
    run(kernel, ...others);
  };
});
afterEach(() => device.dispose());

/** Extensions of WGSL that a kernel enables. */
function enabledIn(text: string): string[] {
  return [...text.matchAll(/^\s*enable\s+([^;]+);/gm)].flatMap((match) => match[1]!.split(/\s*,\s*/));
}

function mayEnable({ f16, subgroupMaxSize, subgroupMatrix }: AdapterFacts, feature: string): boolean {
  if (feature === "f16") return f16;
  if (feature === "subgroups") return subgroupMaxSize > 0;
  return feature === "chromium_experimental_subgroup_matrix" && subgroupMatrix !== undefined;
}

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
      for (const rows of [1, 2, 3, 7, 16, 17, 33]) {
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
            const [cache, values] = [0, 1].map(() =>
              device.empty([keys, paddedRow(2 * headSize, type)], type, "cache"),
            ) as [Tensor, Tensor];
            const q = { tensor: floats(queries, heads * headSize), first: 0 };
            const k = { tensor: cache, first: 0 };
            const sizes = { batches: 1, queries, keys, heads, keyValueHeads: 2, headSize };
            const table = { tensor: device.empty([keys], "u32", "table"), of: "one" } as const;
            for (const own of [undefined, table])
              attention(q, k, k, { ...sizes, causalFrom: keys - queries, table: own }, "y");
            if (queries !== 1) continue;
            for (const own of [undefined, table]) attentionWeights(q, k, sizes, "weights", own);
            const tables = sequenceTables(device, [
              { position: keys - 1, blocks: [0] },
              { position: 3, blocks: [1] },
            ]);
            const several = { tensor: floats(2, heads * headSize), first: 0 };
            attention(several, k, k, { ...sizes, batches: 2, table: tables }, "y");
            const tensors = {
              cosines: floats(keys, headSize / 2),
              sines: floats(keys, headSize / 2),
              keys: cache,
              values,
            };
            if (headSize % 8 !== 0) continue;
            for (const own of [undefined, table])
              rotatedAttention(floats(1, (heads + 4) * headSize), tensors, keys - 1, sizes, { table: own });
            rotatedAttentionOfSequences(floats(2, (heads + 4) * headSize), tensors, tables, sizes);
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
        const table = { tensor: device.empty([1], "u32", "table"), of: "one" } as const;
        for (const own of [undefined, table, { ...table, of: "several" } as const])
          rope(floats(3, 256), floats(8, 32), floats(8, 32), cache(), cache(), 0, 64, own);
      }
      rmsNorm(floats(2, INNER), floats(INNER), 1e-6);
      layerNorm(floats(2, INNER), floats(INNER), floats(INNER), 1e-6);
      swiglu(floats(2, INNER));
      copyRows(floats(4, 8), device.empty([2, 2], "u32", "rows"), floats(4, 8));
      resample([{ first: 0, tensor: floats(4, 8) }], device.empty([2, 4], "u32", "s"), floats(2, 2), "y");
      patchify(device.empty([1, 28, 28, 3], "u8", "pixels"), floats(3, 256), 14);
    }));

  test("training", () =>
    compile(() => {
      for (const type of TYPES) {
        const weights = PackedMatrix.allocate(device, COLUMNS, INNER, type, "W");
        for (const rows of [3, 100]) inputGradient(floats(rows, COLUMNS), weights, floats(rows, INNER));
      }
      for (const rows of [3, 100]) addWeightGradient(floats(rows, COLUMNS), floats(rows, INNER), floats(32, INNER), 32);
      const [x, y] = [{ tensor: floats(8, 8) }, { tensor: floats(8, 8), transposed: true }];
      for (const a of [x, y]) for (const b of [x, y]) gradientProduct(a, b, { into: floats(8, 8) });
      for (const causal of [false, true]) {
        const sizes = { batches: 2, rows: 9, heads: 4, keyValueHeads: 2, headSize: 72, causal };
        attentionGradient(floats(18, 8 * 72), floats(18, 4 * 72), sizes);
      }
      for (const centred of [false, true]) {
        normGradient(floats(2, INNER), floats(INNER), floats(2, INNER), 1e-6, centred, undefined);
        normGradient(floats(2, INNER), floats(INNER), floats(2, INNER), 1e-6, centred, floats(2, INNER));
      }
      for (const kind of ["gelu_tanh", "gelu_erf"] as const) geluGradient(floats(2, 8), floats(2, 8), kind);
      swigluGradient(floats(2, 32), floats(2, 16));
      for (const into of [undefined, floats(2, 8)]) dropout(floats(2, 8), { rate: 0.1, key: 1 }, into);
      rotate(floats(2, 256), floats(8, 32), floats(8, 32), 128, 0, -1);
      const ids = device.empty([4], "u32", "ids");
      for (const weights of [undefined, floats(4)]) scatterRows(floats(4, 8), ids, floats(4, 8), { weights });
      crossEntropy(floats(4, 640), ids, 1);
      addColumnSums(floats(4, 8), floats(8));
      keepRankBlocks(floats(4, 8), ids, device.empty([8], "u32", "parts"));
      addSumSquares(floats(9), floats(1));
      const settings = { rate: 1, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0, clip: 1 } as const;
      adamw(floats(9), floats(9), floats(9), floats(9), floats(1), 1, settings);
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
            for (const sampled of [undefined, sampling, { ...sampling, topK: 0 }, { ...sampling, topK: count }]) {
              const rules = { count, at: 0, penalties, mask: masked, sampling: sampled };
              chooseToken(floats(1, count), { token, answer, counts }, rules);
              const placed = (tensor: Tensor | undefined) => tensor && { tensor, first: 0 };
              const places = { token: { tensor: token, first: 0 }, answer: { tensor: answer, first: 0 } };
              const choice = {
                ...rules,
                ...places,
                logits: { tensor: floats(2, count), first: 0 },
                counts: placed(counts),
                mask: placed(masked),
              };
              chooseTokens(device, [choice, choice]);
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
  console.log(`${variants.size} variants of ${compiled.size} kernels compiled`);
});

test("no adapter gets an enable line of a feature that it lacks", () => {
  expect(enabledIn("enable f16;\nenable subgroups;\n// enable nothing;")).toEqual(["f16", "subgroups"]);
  expect([...variants.values()].some(({ text }) => enabledIn(text).length > 0)).toBe(true);
  expect([...misplaced]).toEqual([]);
});

/** What every adapter of the standard has, and WebKit has no more. */
const LIMITS = { workgroup: 16384, functions: 8192 };

test("workgroup memory and variables of functions are within the limits of every adapter", () => {
  const sample = `
    alias Quad = vec4f;
    const ROWS = 24u; const HALF = ROWS / 7u;
    var<workgroup> a: array<Quad, HALF * (ROWS - 4u)>;
    var<workgroup> b: vec3f;
    fn main() { var c: array<mat4x4f, HALF>; var d = array<f32, 5>(1, 2, 3, 4, 5); var e = 0u; }`;
  expect(memoryOf(sample)).toEqual({ workgroup: 3 * 20 * 16 + 12, functions: 3 * 64 + 5 * 4 + 64 });

  const largest = { workgroup: 0, functions: 0 };
  const over: string[] = [];
  for (const { name, text } of variants.values()) {
    // WebKit has no subgroup matrices.
    if (enabledIn(text).includes("chromium_experimental_subgroup_matrix")) continue;
    const memory = memoryOf(text);
    for (const kind of ["workgroup", "functions"] as const) {
      largest[kind] = Math.max(largest[kind], memory[kind]);
      if (memory[kind] > LIMITS[kind]) over.push(`${name}: ${memory[kind]} bytes, ${kind}`);
    }
  }
  console.log(`largest: ${largest.workgroup} bytes of workgroup memory, ${largest.functions} of variables`);
  expect(over).toEqual([]);
  expect(largest.workgroup).toBeGreaterThan(LIMITS.workgroup / 4);
});

/** Extensions that naga does not have; adapters of Firefox and Deno do not list their features either. */
const NOT_IN_NAGA = ["subgroups", "chromium_experimental_subgroup_matrix"];
const missing = missingForDeno();
if (missing) console.log(`Naga is not tested: ${missing}`);

test.skipIf(missing)("naga compiles every variant that Firefox and Deno get", async () => {
  const broken = new Kernel("broken", "@group(0) @binding(0) var<storage, read> y: array<f32>; fn main() {", {});
  const kernels = [...variants.values(), broken].filter(
    ({ text }) => !enabledIn(text).some((feature) => NOT_IN_NAGA.includes(feature)),
  );
  const texts = kernels.map(textOf);
  const folder = mkdtempSync(join(tmpdir(), "ocellus-naga-"));
  try {
    writeFileSync(join(folder, "kernels.json"), JSON.stringify(texts));
    const output = await runInDeno(join(ROOT, "test/support/naga-program.ts"), [join(folder, "kernels.json")]);
    const { compiled, refused } = JSON.parse(output) as { compiled: number; refused: string[] };
    console.log(`naga: ${compiled} variants compiled`);
    expect(refused).toEqual([expect.stringMatching(/^broken: /)]);
    expect(compiled).toBe(texts.length - 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const missingRadv = await missingForRadv();
if (missingRadv) console.log(`AMD's compiler is not tested: ${missingRadv}`);

/** An array that leaves the registers, because its elements are not known before the kernel runs. */
const SCRATCH = new Kernel(
  "scratch",
  `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) i: u32) {
  var a: array<u32, 256>;
  for (var j = 0u; j < 256u; j++) { a[y[j] % 256u] += y[i + j]; }
  y[i] = a[y[i] % 256u];
}`,
  {},
);

/** What Dawn says of matrices of other sizes than RDNA 3 has. */
const OTHER_MATRICES = /^Subgroup matrix usage found which is not supported/;

test.skipIf(missingRadv)("AMD's compiler keeps every variant of GPUs in registers: no scratch, no spills", async () => {
  const hasMatrices = ({ text }: { text: string }) => enabledIn(text).includes("chromium_experimental_subgroup_matrix");
  const kernels = [...onGPU.values(), SCRATCH].map(textOf);
  const compilations = AMD_FAMILIES.map(async (family) => {
    const texts = kernels.filter((kernel) => family === "navi31" || !hasMatrices(kernel));
    const { mesa, results } = await compileForAMD(texts, family);
    const own = texts.flatMap((kernel, i) => {
      const result = results[i]!;
      return typeof result === "string" && hasMatrices(kernel) && OTHER_MATRICES.test(result)
        ? []
        : [{ kernel, result }];
    });
    expect(own.some(({ kernel }) => hasMatrices(kernel))).toBe(family === "navi31");
    console.log(`Mesa ${mesa}: ${own.length - 1} variants compiled for ${family}`);
    return own.flatMap(({ kernel, result }) => {
      if (typeof result !== "string" && result.spilled === 0 && result.scratchBytes === 0) return [];
      return `${kernel.name}, ${family}: ${JSON.stringify(result)}`;
    });
  });
  const faults = (await Promise.all(compilations)).flat();
  expect(faults).toEqual(
    AMD_FAMILIES.map((family) => expect.stringMatching(`^scratch, ${family}.*"scratchBytes":[1-9]`)),
  );
});

/** From a number to a bound of numbers and constants, by a constant step. */
const BOUNDED_LOOP = /^var (\w+) = \d+u; \1 <=? (?:[\dA-Zu_+*/() -]|firstLeadingBit)+; \1(?:\+\+| \+= \w+)$/;

test("loops of GPU kernels have constant bounds, so that Dawn adds no counter to them", () => {
  const open = [...onGPU].flatMap(([text, { name }]) =>
    [...text.matchAll(/\bfor \((.*?)\) \{/g)]
      .map(([, loop]) => loop!)
      .filter((loop) => !BOUNDED_LOOP.test(loop))
      .map((loop) => `${name}: for (${loop})`),
  );
  expect([...new Set(open)]).toEqual([]);
  expect(onGPU.size).toBeGreaterThan(100);
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
