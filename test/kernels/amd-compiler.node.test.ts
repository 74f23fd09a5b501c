import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { create } from "webgpu";
import { attention } from "../../src/kernels/attention.js";
import { chooseToken } from "../../src/kernels/choose-token.js";
import type { Epilogue } from "../../src/kernels/epilogue.js";
import { BLOCK_ROWS } from "../../src/kernels/kv-blocks.js";
import { type CacheType, paddedRow } from "../../src/kernels/kv-format.js";
import { matmul } from "../../src/kernels/matmul.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { PackedMatrix, type WeightType } from "../../src/kernels/packed.js";
import { rotatedAttention } from "../../src/kernels/rotated-attention.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { Device } from "../../src/runtime/device.js";
import type { Kernel } from "../../src/runtime/kernel.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { forge } from "../support/adapters.js";
import { ROOT } from "../support/cli.js";
import {
  AMD_FAMILIES,
  compileForAMD,
  missingForRadv,
  type ShaderStatistics,
  statisticsIn,
  textOf,
} from "../support/radv.js";
import { formatTable, parseTable, worseThan } from "../support/register-table.js";

// Registers, occupancy and estimated latency of the kernels that take the time of a model, as AMD's compiler makes them for GPUs that need
// not be there, compared with the tables in test/data/registers. compile.node.test.ts compiles all other variants for them too.

/** A GPU without subgroup matrices, whose sizes differ between GPUs. */
const FACTS: Partial<AdapterFacts> = {
  onCPU: false,
  subgroupMinSize: 32,
  subgroupMaxSize: 64,
  broadcastLanes: 0,
  f16: true,
};

const WEIGHTS: readonly WeightType[] = ["q4", "q8", "f16", "bf16", "f32"];
const CACHES: readonly CacheType[] = ["f32", "f16", "q8"];

/** Sizes of the decoders of 0.5B and 7B. */
const SMALL = { width: 896, qkv: 1152, gated: 2 * 4864, heads: 14, keyValueHeads: 2, headSize: 64 };
const LARGE = { width: 3584, qkv: 4608, gated: 2 * 18944, heads: 28, keyValueHeads: 4, headSize: 128 };
/** The tower's heads are of neither size. */
const TOWER = { width: 1152, heads: 16, keyValueHeads: 16, headSize: 72, patches: 729 };
/** Columns of the head, or of the first of its blocks. */
const VOCABULARY = 32768;
const TOKENS = 151_936;
const KEYS = 2048;

/** Kept for ever: a collected instance takes its devices and the process down with it. */
const dawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);

const kernels = new Map<string, Kernel>();
let device: Device;
let label = "";

const floats = (...shape: number[]): Tensor => device.empty(shape, "f32", "floats");

/** Collects the kernels of `work` that are not there yet, under their names with `shapes` behind. */
function collect(shapes: string, work: () => void): void {
  label = shapes;
  device.scope(work);
}

function product(rows: number, columns: number, inner: number, type: WeightType, epilogue: Epilogue = {}): void {
  matmul(floats(rows, inner), PackedMatrix.allocate(device, columns, inner, type, "W"), epilogue);
}

const norm = (width: number) => ({ weight: floats(width), epsilon: 1e-6 });

function products(type: WeightType): void {
  const { width, qkv, gated } = SMALL;
  collect(`qkv ${type}`, () => product(1, qkv, width, type, { norm: norm(width), bias: floats(qkv) }));
  collect(`gate_up ${type}`, () => product(1, gated, width, type, { norm: norm(width), swiglu: true }));
  collect(`down ${type}`, () => product(1, width, gated / 2, type, { residual: floats(1, width) }));
  collect(`head ${type}`, () => product(1, VOCABULARY, width, type));
  collect(`8 rows ${type}`, () => product(8, width, width, type));
  collect(`64 rows ${type}`, () => product(64, width, width, type));
  collect(`gate_up of 1024 rows ${type}`, () => product(1024, gated, width, type, { swiglu: true }));
}

function productsInBytes(type: WeightType): void {
  const { width, gated } = SMALL;
  forge(device, { packedDots: true, tuning: { "matmul.activations": "q8" } });
  collect(`gate_up of 1024 rows ${type}`, () => product(1024, gated, width, type, { swiglu: true }));
  forge(device, { packedDots: false, tuning: {} });
}

function attentions(type: CacheType): void {
  for (const { heads, keyValueHeads, headSize } of [SMALL, TOWER, LARGE]) {
    const cache = device.empty([KEYS, paddedRow(keyValueHeads * headSize, type)], type, "cache");
    const columns = { tensor: cache, first: 0 };
    const sizes = { batches: 1, keys: KEYS, heads, keyValueHeads, headSize };
    // The decoder's keys and values are in blocks.
    const blocks = device.empty([KEYS / BLOCK_ROWS], "u32", "table");
    const table = headSize === TOWER.headSize ? undefined : ({ tensor: blocks, of: "one" } as const);
    for (const queries of [1, 256]) {
      const q = { tensor: floats(queries, heads * headSize), first: 0 };
      collect(`${headSize} ${type}`, () =>
        attention(q, columns, columns, { ...sizes, queries, causalFrom: KEYS - queries, table }, "y"),
      );
    }
    if (headSize === TOWER.headSize) continue;
    const x = floats(1, (heads + 2 * keyValueHeads) * headSize);
    const [cosines, sines] = [floats(KEYS, headSize / 2), floats(KEYS, headSize / 2)];
    collect(`with RoPE ${headSize} ${type}`, () =>
      rotatedAttention(x, { cosines, sines, keys: cache, values: cache }, KEYS - 1, sizes, { table }),
    );
  }
}

function sample(topK: number): void {
  const penalties = { repetition: 1, presence: 0, frequency: 0 };
  const sampling = { temperature: 1, topK, topP: 0.9, minP: 0, rngKey: [1, 2] as const };
  const state = { token: device.empty([1], "u32", "token"), answer: device.empty([4], "u32", "answer") };
  chooseToken(floats(1, TOKENS), state, { count: TOKENS, at: 0, penalties, sampling });
}

beforeAll(async () => {
  const adapter = await dawn.requestAdapter();
  const requiredFeatures = ["subgroups", "shader-f16"] as GPUFeatureName[];
  device = Device.from(await adapter!.requestDevice({ requiredFeatures }));
  forge(device, FACTS);
  const known = new Set<string>();
  device.run = (kernel) => {
    if (known.has(kernel.text)) return;
    known.add(kernel.text);
    const name = `${kernel.name} ${label}`;
    if (kernels.has(name)) throw new Error(`two kernels are called ${name}`);
    kernels.set(name, kernel);
  };
  for (const type of WEIGHTS) products(type);
  for (const type of ["q4", "q8"] as const) productsInBytes(type);
  const { width, gated } = LARGE;
  for (const type of ["q4", "q8", "f16"] as const) {
    collect(`7B gate_up ${type}`, () => product(1, gated, width, type, { norm: norm(width), swiglu: true }));
    collect(`7B down ${type}`, () => product(1, width, gated / 2, type, { residual: floats(1, width) }));
  }
  device.scope(() => {
    for (const type of CACHES) attentions(type);
  });
  collect("1 row", () => rmsNorm(floats(1, width), floats(width), 1e-6));
  collect("1024 rows", () => rmsNorm(floats(1024, width), floats(width), 1e-6));
  collect("tower", () => layerNorm(floats(TOWER.patches, TOWER.width), floats(TOWER.width), floats(TOWER.width), 1e-6));
  collect("sampling", () => sample(50));
  collect("top-p sampling", () => sample(0));
  return () => device.dispose();
});

test("the kernels of every operation are among those that are compared", () => {
  expect(kernels.size).toBeGreaterThan(50);
  const named = (name: string) => [...kernels.keys()].filter((key) => key.startsWith(`${name} `)).length;
  expect(named("matvec")).toBeGreaterThanOrEqual(4 * WEIGHTS.length);
  expect(named("attention")).toBe(3 * CACHES.length);
  for (const name of [
    "matvecRows",
    "matmulTile",
    "attentionStep",
    "rmsNorm",
    "layerNorm",
    "cutoffSearch",
    "cutoffBuckets",
  ]) {
    expect(named(name), name).toBeGreaterThan(0);
  }
});

const row = { registers: 60, occupancy: 24, latency: 5000, inverseThroughput: 1000 };

test("a kernel that became a tenth worse, one that is new and one that is gone are found", () => {
  const text = formatTable({ mesa: "25.0", rows: new Map([["matvec q4", { ...row, remark: "a reason" }]]) });
  const table = parseTable(text);
  expect([...table.rows]).toEqual([["matvec q4", { ...row, remark: "a reason" }]]);
  expect(formatTable({ mesa: "25.0", rows: new Map([["matvec q4", row]]) }, table)).toBe(text);
  const change = (part: Partial<typeof row>) => worseThan(table, new Map([["matvec q4", { ...row, ...part }]]));
  expect(change({ registers: 66, latency: 5500, occupancy: 22, inverseThroughput: 9999 })).toEqual([]);
  expect(change({ registers: 67 })).toEqual(["matvec q4: registers 67, in the table 60"]);
  expect(change({ latency: 5501 })).toEqual(["matvec q4: latency 5501, in the table 5000"]);
  expect(change({ occupancy: 21 })).toEqual(["matvec q4: occupancy 21, in the table 24"]);
  expect(worseThan(table, new Map([["matvec q8", row]]))).toEqual([
    "matvec q4: only in the table",
    "matvec q8: not in the table",
  ]);
});

test("statistics and errors of the driver are read", () => {
  const output = ["VGPRs: 60", "Spilled SGPRs: 9", "Spilled VGPRs: 1", "Scratch size: 64", "Subgroups per SIMD: 24"];
  const estimates = ["Latency: 5000", "Inverse Throughput: 1000"];
  const expected: ShaderStatistics = { ...row, spilled: 1, scratchBytes: 64 };
  expect(statisticsIn([...output, ...estimates].join("\n"))).toEqual(expected);
  expect(statisticsIn(output.join("\n"))).toMatch(/no latency, inverseThroughput/);
  expect(statisticsIn("@refused line 1\nline 2\n")).toBe("line 1\nline 2");
});

const missing = await missingForRadv();
if (missing) console.log(`AMD's compiler is not tested: ${missing}`);

test.skipIf(missing).each(AMD_FAMILIES)(
  "no kernel is more than a tenth worse on %s than in the table",
  async (family) => {
    const { mesa, results } = await compileForAMD([...kernels.values()].map(textOf), family);
    const names = [...kernels.keys()];
    const broken = results.flatMap((result, i) => (typeof result === "string" ? `${names[i]}: ${result}` : []));
    expect(broken).toEqual([]);
    const statistics = results as ShaderStatistics[];
    expect(names.filter((_, i) => statistics[i]!.spilled > 0 || statistics[i]!.scratchBytes > 0)).toEqual([]);

    const rows = new Map(names.map((name, i) => [name, statistics[i]!]));
    const file = join(ROOT, `test/data/registers/${family}.txt`);
    const table = parseTable(readFileSync(file, "utf8"));
    if (process.env.OCELLUS_UPDATE_TABLE === "1") {
      writeFileSync(file, formatTable({ mesa, rows }, table));
    } else if (mesa !== table.mesa) {
      console.log(`${family} is not compared: this is Mesa ${mesa}, the table is of ${table.mesa}`);
    } else {
      const hint = "if that is meant, OCELLUS_UPDATE_TABLE=1 writes the table anew; say why in its column of remarks";
      expect(worseThan(table, rows), hint).toEqual([]);
    }
  },
);
