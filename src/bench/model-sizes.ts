import type { KVCache } from "../layers/kv-cache.js";
import { WeightLoader } from "../layers/weights.js";
import { parseConfig } from "../models/llava-onevision/config.js";
import type { DtypeByPart } from "../models/llava-onevision/dtype-by-part.js";
import { recordLayers } from "../models/llava-onevision/layer-pass.js";
import type { ModelPlan } from "../models/llava-onevision/model-plan.js";
import { Network } from "../models/llava-onevision/network.js";
import type { Qwen2, Qwen2Layer } from "../models/llava-onevision/qwen2.js";
import { VISION_CACHE_BYTES } from "../models/llava-onevision/vision-cache.js";
import { promptChunks } from "../models/llava-onevision/waited-pass.js";
import { bytesOf } from "../models/sizing/estimate.js";
import {
  type Described,
  type Footprint,
  footprint,
  LAYERS_PLAN,
  LEAST_PLAN,
  STREAMING_PLANS,
  type Use,
} from "../models/sizing/footprint.js";
import { type PlanSize, planWithinBytes } from "../models/sizing/streaming-estimate.js";
import { Device } from "../runtime/device.js";
import { type DryRunFacts, DryRunGPU } from "../runtime/dry-run-gpu.js";
import { configJson, GEOMETRY_7B, GEOMETRY_72B, type Geometry, modelTensors } from "./geometries.js";
import { syntheticIndex } from "./synthetic.js";

/** A GPU with everything, for simulations. */
export const SIMULATED_GPU: DryRunFacts = {
  vendor: "",
  architecture: "",
  description: "a GPU",
  onCPU: false,
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  f16: true,
  maxBindingBytes: 2 ** 31 - 4,
  maxBufferBytes: 2 ** 31 - 4,
  maxWorkgroupBytes: 32768,
  immediateBytes: 64,
};

/** What a pass over the decoder takes. */
export interface SimulatedPass {
  readonly dispatches: number;
  /** Bytes of weights that its products read on the adapter. */
  readonly readBytes: number;
}

/** A model within a budget. All sizes are in bytes. */
export interface SimulatedSize {
  readonly budgetBytes: number;
  /** What it takes on the adapter, at most; over the budget if it does not fit. */
  readonly totalBytes: number;
  readonly layers: number;
  /** Layers that stay on the adapter. */
  readonly residentLayers: number;
  /** Whether the vision tower, the embedding table and the head stream too. */
  readonly everything: boolean;
  /** Uploaded for each pass: a prompt, or a step of one token or of several. */
  readonly uploadBytes: number;
  readonly prompt: SimulatedPass;
  readonly step: SimulatedPass;
}

/** Storage dtypes that a table has: those of the decoder and its tables. The tower and the projector are in f16. */
export type SimulatedDtype = "q4" | "q8" | "bf16";

/** Rows of the simulated prompt. */
export const PROMPT_ROWS = 1500;
/** What the memory is for: a context of this length, and a picture of the most tiles. */
const USE: Use = {
  cacheType: "f16",
  contextTokens: 8192,
  tiles: Number.POSITIVE_INFINITY,
  visionCacheBytes: VISION_CACHE_BYTES,
};

/** Simulates a model of random weights within each budget: its code runs on a GPU that counts. */
export function simulateSizes(
  geometry: Geometry,
  dtype: SimulatedDtype,
  budgets: readonly number[],
): readonly SimulatedSize[] {
  const index = syntheticIndex(modelTensors(geometry), "BF16");
  const config = parseConfig(configJson(geometry), { tensorShapes: index.shapes });
  const described: Described = { name: "simulated", index, config };
  const byPart: DtypeByPart = { vision: "f16", projector: "f16", language: dtype, embed: dtype };
  const sizeOf = (plan?: Use["plan"]): Footprint => footprint(described, byPart, { ...USE, plan }, SIMULATED_GPU);
  const all = sizeOf();
  const { layers } = geometry.text;
  const { prompt, step, layerBytes } = simulatePasses(described, byPart);
  const sizes = STREAMING_PLANS.map((plan): PlanSize => {
    const found = sizeOf(plan);
    return { ...found, totalBytes: bytesOf(found) };
  });
  const streaming = (plan: ModelPlan): PlanSize => sizes[STREAMING_PLANS.indexOf(plan)]!;
  return budgets.map((budgetBytes) => {
    const fits = bytesOf(all) <= budgetBytes;
    const plan = planWithinBytes(budgetBytes, layers, STREAMING_PLANS, streaming) ?? LEAST_PLAN;
    const found = fits ? all : sizeOf(plan);
    return {
      budgetBytes,
      totalBytes: bytesOf(found),
      layers,
      residentLayers: fits ? layers : plan.resident,
      everything: !fits && plan.everything !== undefined,
      uploadBytes: fits ? 0 : layerBytes * (layers - plan.resident) + found.headBytes,
      prompt,
      step,
    };
  });
}

/** Passes over layers that stream record what those over layers that stay record. */
function simulatePasses({ index, config }: Described, dtype: DtypeByPart) {
  const device = Device.from(new DryRunGPU(SIMULATED_GPU).gpu);
  // Products are not cut, as on GPUs that are fast enough for a submission of each.
  device.budget.rates = { flops: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
  const arena = device.arena("model");
  const loader = new WeightLoader(device, index);
  const levels = arena.run(() => device.empty([3, 256], "f32", "levels"));
  const network = arena.run(() => new Network(loader.root(), config, dtype, levels, LAYERS_PLAN));
  const cache = network.cache(USE.cacheType, USE.contextTokens);
  cache.reserve(PROMPT_ROWS + 1);
  const prompt = simulatePass(network, cache, PROMPT_ROWS);
  const step = simulatePass(network, cache, 1);
  return { prompt, step, layerBytes: uploadBytes(network.language, config.text.layers - 1) };
}

/** Records a pass over the next `rows` rows, and the logits of the last one. */
function simulatePass(network: Network, cache: KVCache, rows: number): SimulatedPass {
  const { device, language } = network;
  const arena = device.arena("pass");
  const { dispatches } = device.counters;
  let readBytes = 0;
  const run = device.run.bind(device);
  device.run = (kernel, tensors, parameters, grid, work) => {
    // The workgroups of a column of the grid share weights; each row of the grid reads them again.
    if (kernel.name.startsWith("mat")) readBytes += tensors.weights!.sizeBytes * (grid[1] ?? 1);
    run(kernel, tensors, parameters, grid, work);
  };
  const chunks = promptChunks(network, new Uint32Array(rows), cache.length, [], cache, arena);
  for (const layer of recordLayers(language, chunks, arena)) void layer;
  arena.run(() => network.lastLogits(chunks.at(-1)!.x));
  device.run = run;
  arena.dispose();
  return { dispatches: device.counters.dispatches - dispatches, readBytes };
}

/** Bytes that a pass uploads: the weights of the layers from `first` on, as they are on the device. */
export function uploadBytes({ layers }: Pick<Qwen2, "layers">, first: number): number {
  return layers.slice(first).reduce((sum, layer) => sum + weightBytes(layer), 0);
}

function weightBytes({ inputNorm, attention, postNorm, mlp }: Qwen2Layer): number {
  const norms = inputNorm.weight.sizeBytes + postNorm.weight.sizeBytes;
  return [attention.qkv, attention.out, mlp.gateUp, mlp.down].reduce(
    (sum, { weight, bias }) => sum + weight.sizeBytes + (bias?.sizeBytes ?? 0),
    norms,
  );
}

/** Where layers that stream are read from, in bytes a second. */
const RATES = [
  { name: "SATA SSD", bytesPerSecond: 0.55e9 },
  { name: "NVMe, PCIe 3", bytesPerSecond: 3.5e9 },
  { name: "NVMe, PCIe 4", bytesPerSecond: 7e9 },
  { name: "NVMe, PCIe 5", bytesPerSecond: 14e9 },
  { name: "memory, PCIe 3", bytesPerSecond: 0.8 * 15.75e9 },
  { name: "memory, PCIe 4", bytesPerSecond: 0.8 * 31.5e9 },
  { name: "memory, PCIe 5", bytesPerSecond: 0.8 * 63e9 },
] as const;

const GB = 1e9;
/** Models of the tables, with the budgets in GB. */
const MODELS = [
  { name: "7B", geometry: GEOMETRY_7B, budgets: [4, 6, 8, 16] },
  { name: "72B", geometry: GEOMETRY_72B, budgets: [8, 16, 24, 48, 141] },
] as const;
const DTYPES: readonly SimulatedDtype[] = ["q4", "q8"];

/** The tables of docs/sizes.md: memory and passes of each model within each budget, and the tokens/s that reading its layers allows. */
export function sizeTables(): string {
  const tables = MODELS.map(({ name, geometry, budgets }) => {
    const rows = DTYPES.flatMap((dtype) =>
      simulateSizes(
        geometry,
        dtype,
        budgets.map((budget) => budget * GB),
      ).map((size) => ({ dtype, size })),
    );
    return [
      `### ${name}`,
      table(
        [
          "budget",
          "dtype",
          "on the adapter",
          "layers that stay",
          "uploaded per pass",
          "read per token",
          "dispatches: token, prompt",
        ],
        rows.map(({ dtype, size }) => memoryRow(dtype, size)),
      ),
      table(
        ["budget", "dtype", ...RATES.map((rate) => rate.name)],
        rows.filter(({ size }) => streamsWithin(size)).map(({ dtype, size }) => rateRow(dtype, size)),
      ),
    ].join("\n\n");
  });
  return `${tables.join("\n\n")}\n`;
}

function fits({ totalBytes, budgetBytes }: SimulatedSize): boolean {
  return totalBytes <= budgetBytes;
}

function streamsWithin(size: SimulatedSize): boolean {
  return fits(size) && size.uploadBytes > 0;
}

function memoryRow(dtype: SimulatedDtype, size: SimulatedSize): string[] {
  const { budgetBytes, totalBytes, layers, residentLayers: resident, uploadBytes: uploaded, step, prompt } = size;
  const start = [`${budgetBytes / GB} GB`, dtype];
  if (!fits(size)) return [...start, `needs ${giga(totalBytes)}`, "", "", "", ""];
  const stay = resident === layers ? `all ${layers}` : `${resident} of ${layers}`;
  const counts = `${step.dispatches}, ${prompt.dispatches.toLocaleString("en-US")}`;
  return [...start, giga(totalBytes), stay, uploaded > 0 ? giga(uploaded) : "none", giga(step.readBytes), counts];
}

function rateRow(dtype: SimulatedDtype, { budgetBytes, uploadBytes: uploaded }: SimulatedSize): string[] {
  return [`${budgetBytes / GB} GB`, dtype, ...RATES.map((rate) => significant(rate.bytesPerSecond / uploaded))];
}

function giga(bytes: number): string {
  return `${(bytes / GB).toFixed(bytes < 10 * GB ? 2 : 1)} GB`;
}

/** Two digits, without an exponent. */
function significant(x: number): string {
  return String(Number(x.toPrecision(2)));
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(header), `|${"---|".repeat(header.length)}`, ...rows.map(line)].join("\n");
}
