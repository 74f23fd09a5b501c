import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { GEOMETRY_05B, type Geometry } from "../../src/bench/loaded-model.js";
import { qwen2Tensors, siglipTensors, syntheticIndex } from "../../src/bench/synthetic.js";
import type { RowPiece } from "../../src/kernels/resample.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { type StoredType, WeightLoader } from "../../src/layers/weights.js";
import { Sampler } from "../../src/models/chat/sampler.js";
import { Network } from "../../src/models/llava-onevision/network.js";
import { packImage, planImage } from "../../src/models/llava-onevision/packing.js";
import { resolveLayout } from "../../src/models/llava-onevision/tensor-names.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { DryRunGPU } from "../../src/runtime/dry-run-gpu.js";
import { bytesOf, FIRST_RATES, type Rates, SUBMISSION_MS, type Work } from "../../src/runtime/work-budget.js";
import { TINY_FOLDER } from "../support/damaged.js";

// Every workload of every published size on a mock GPU: the work of its submissions and dispatches against the bound. Layers are alike,
// so two of each part are enough.

const LAYERS = 2;

const sizes = (
  width: number,
  heads: number,
  keyValueHeads: number,
  mlpWidth: number,
  vocabulary: number,
): Geometry => ({
  vision: { ...GEOMETRY_05B.vision, layers: LAYERS },
  text: {
    ...GEOMETRY_05B.text,
    ...{
      width,
      layers: LAYERS,
      heads,
      keyValueHeads,
      headSize: width / heads,
      mlpWidth,
      vocabulary,
      tied: width < 1000,
    },
  },
});

const MODELS: Readonly<Record<string, Geometry>> = {
  "0.5B": sizes(896, 14, 2, 4864, 152000),
  "7B": sizes(3584, 28, 4, 18944, 152128),
  "72B": sizes(8192, 64, 8, 29568, 152064),
};

const { flops, bytes } = FIRST_RATES;
/** Rates of the first submissions, and some learnt later: a laptop's GPU, a fast one, and one with little bandwidth. */
const RATES: Readonly<Record<string, Rates>> = {
  "the first rates": FIRST_RATES,
  "1 TFLOP/s and 40 GB/s": { flops: 10 * flops, bytes: 4 * bytes },
  "30 TFLOP/s and 1 TB/s": { flops: 300 * flops, bytes: 100 * bytes },
  "5 TFLOP/s and 25 GB/s": { flops: 50 * flops, bytes: 2.5 * bytes },
};

const GPU = {
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

/** Work of a dispatch as its operands and parameters imply it, whatever was declared: products and attention. */
function impliedWork(
  kernel: string,
  tensors: Parameters<Device["run"]>[1],
  parameters: Parameters<Device["run"]>[2],
  [, heads = 1, batches = 1]: readonly number[],
): { flops: number; bytes: number } {
  const { rows = 0, columns = 0, quads = 0, queries = 0, keys = 0, firstPosition = 0, causal, scale = 1 } = parameters;
  if (kernel.startsWith("mat")) return { flops: 8 * rows * columns * quads, bytes: tensors.weights!.sizeBytes };
  if (!kernel.startsWith("attention") || queries === 0) return { flops: 0, bytes: 0 };
  let seen = keys * queries;
  if (causal === 1) {
    seen = 0;
    for (let i = 0; i < queries; i++) seen += Math.min(keys, firstPosition + i + 1);
  }
  return { flops: 4 * batches * heads * seen * Math.round(scale ** -2), bytes: 0 };
}

interface Count {
  dispatches: number;
  submissions: number;
  flops: number;
  /** Longest dispatch and submission in milliseconds at the rates, by declared and by implied work. */
  longest: { dispatch: number; submission: number; impliedDispatch: number; impliedSubmission: number };
}

/** Builds a network on a device that counts, at fixed rates. */
function counting(geometry: Geometry, type: StoredType, rates: Rates) {
  const { gpu } = new DryRunGPU(GPU);
  const count: Count = {
    dispatches: 0,
    submissions: 0,
    flops: 0,
    longest: { dispatch: 0, submission: 0, impliedDispatch: 0, impliedSubmission: 0 },
  };
  const open = { declared: 0, implied: 0 };
  const { longest } = count;
  const queue = {
    submit: () => {
      count.submissions++;
      longest.submission = Math.max(longest.submission, open.declared);
      longest.impliedSubmission = Math.max(longest.impliedSubmission, open.implied);
      Object.assign(open, { declared: 0, implied: 0 });
    },
    writeBuffer: () => {},
    onSubmittedWorkDone: () => new Promise(() => {}),
  };
  const device = Device.from(new Proxy(gpu, { get: (own, key) => (key === "queue" ? queue : Reflect.get(own, key)) }));
  device.budget.rates = rates;
  const time = (work: Work): number => Math.max((work.flops ?? 0) / rates.flops, work.bytes / rates.bytes);
  const add = (declared: number, implied: number): void => {
    open.declared += declared;
    open.implied += implied;
    longest.dispatch = Math.max(longest.dispatch, declared);
    longest.impliedDispatch = Math.max(longest.impliedDispatch, implied);
  };
  const [run, copy] = [device.run.bind(device), device.copy.bind(device)];
  device.run = (kernel, tensors, parameters, grid, work) => {
    run(kernel, tensors, parameters, grid, work);
    const implied = impliedWork(kernel.name, tensors, parameters, grid as readonly number[]);
    count.dispatches++;
    count.flops += implied.flops;
    add(time(work ?? bytesOf(tensors)), time(implied));
  };
  device.copy = (source, from, target, to, length) => {
    copy(source, from, target, to, length);
    add(time({ bytes: 2 * length }), time({ bytes: 2 * length }));
  };
  const tensors = new Map(
    [...siglipTensors(geometry.vision)].map(([name, tensor]) => [`vision_tower.vision_model.${name}`, tensor]),
  );
  for (const [name, tensor] of qwen2Tensors(geometry.text)) tensors.set(`language_model.model.${name}`, tensor);
  const { width, vocabulary, tied } = geometry.text;
  const matrix = (out: number, inner: number) => ({ shape: [out, inner], scale: 1 });
  if (!tied) tensors.set("language_model.lm_head.weight", matrix(vocabulary, width));
  tensors.set("multi_modal_projector.linear_1.weight", matrix(width, geometry.vision.width));
  tensors.set("multi_modal_projector.linear_2.weight", matrix(width, width));
  for (const name of ["linear_1", "linear_2"]) {
    tensors.set(`multi_modal_projector.${name}.bias`, { shape: [width], scale: 1 });
  }
  tensors.set("image_newline", { shape: [width], scale: 1 });
  const index = syntheticIndex(tensors, "BF16");
  const layout = resolveLayout(index.shapes.keys(), { tied });
  const loader = new WeightLoader(device, index);
  const dtype = { vision: type, projector: type, language: type, embed: type };
  const arena = device.arena("model");
  const network = arena.run(
    () => new Network(loader.root(), { ...geometry, layout }, dtype, device.empty([3, 256], "f32", "levels")),
  );
  loader.check("synthetic", (name) => layout.ignored(name));
  return { device, arena, network, count };
}

/** Encodes a picture of `tiles` tiles that fills its canvas. */
function see({ device, arena, network }: ReturnType<typeof counting>, tiles: number): RowPiece {
  const { tileSide, cells } = network.config.vision;
  const tensor = arena.run(() => {
    if (tiles === 1) return network.project(new Uint8Array(tileSide ** 2 * 3), 1);
    return device.scope(() => {
      const pieces: RowPiece[] = [];
      for (let first = 0; first < tiles; first += network.tilesPerBatch) {
        const count = Math.min(network.tilesPerBatch, tiles - first);
        const batch = network.project(new Uint8Array(count * tileSide ** 2 * 3), count);
        pieces.push({ first: first * cells ** 2, tensor: batch });
      }
      const grid = { columns: tiles - 1, rows: 1 };
      return network.pack(pieces, packImage(planImage((tiles - 1) * tileSide, tileSide, grid, cells, 9), grid, cells));
    });
  });
  device.flush();
  return { first: 0, tensor };
}

/** FLOPs of tower and projector, 2 per multiply-add. */
function visionFlops({ vision, text }: Geometry, tiles: number): number {
  const { width, mlpWidth, layers, patchSide, cells } = vision;
  const weights = layers * (4 * width ** 2 + 2 * width * mlpWidth) + 3 * patchSide ** 2 * width;
  const projector = width * text.width + text.width ** 2;
  return tiles * cells ** 2 * (2 * (weights + projector) + 4 * layers * cells ** 2 * width);
}

/** FLOPs of the decoder over `rows` rows after `cached`, and of the head over one. */
function decoderFlops({ text }: Geometry, rows: number, cached: number): number {
  const { width, mlpWidth, layers, heads, keyValueHeads, headSize, vocabulary } = text;
  const layer = width * headSize * 2 * (heads + keyValueHeads) + 3 * width * mlpWidth;
  const attended = rows * cached + (rows * (rows + 1)) / 2;
  return layers * (2 * rows * layer + 4 * heads * headSize * attended) + 2 * width * vocabulary;
}

describe.each(Object.entries(MODELS))("%s", (_, geometry) => {
  describe.each(Object.entries(RATES))("at %s", (_, rates) => {
    const check = ({ longest, submissions }: Count): void => {
      for (const milliseconds of Object.values(longest)) expect(milliseconds).toBeLessThanOrEqual(SUBMISSION_MS);
      expect(submissions).toBeGreaterThan(0);
    };

    test("pictures of 1 to 10 tiles", () => {
      for (let tiles = 1; tiles <= 10; tiles++) {
        const model = counting(geometry, "f16", rates);
        see(model, tiles).tensor.dispose();
        check(model.count);
        expect(model.count.flops / visionFlops(geometry, tiles)).toBeCloseTo(1, 6);
      }
    });

    test.each(["f32", "f16", "q4"] as const)("a prompt of 7,300 rows and an answer, weights in %s", (type) => {
      const model = counting(geometry, type, rates);
      const { device, arena, network, count } = model;
      const { text } = geometry;
      const rows = 7300;
      const visual = { first: 0, tensor: arena.run(() => device.empty([rows - 20, text.width], "f32", "visual")) };
      const cache = new KVCache(device, text.layers, text.keyValueHeads * text.headSize);
      cache.reserve(rows);
      let logits = visual.tensor;
      for (let first = 0; first < rows; first += network.rowsPerChunk) {
        const ids = new Uint32Array(Math.min(network.rowsPerChunk, rows - first));
        if (first + ids.length < rows) device.scope(() => void network.decode(ids, first, [visual], cache));
        else logits = arena.run(() => network.next(ids, first, [visual], cache));
        device.flush();
      }
      expect(count.flops / decoderFlops(geometry, rows, 0)).toBeCloseTo(1, 6);
      check(count);
      const rules = { temperature: 1, topK: 40, topP: 0.9, repetitionPenalty: 1.1, eosTokens: [], minNewTokens: 1 };
      const before = count.flops;
      arena.run(() => {
        const sampler = new Sampler(device, { ...rules, allowed: text.vocabulary }, 16);
        device.together(() => {
          sampler.choose(logits, 0, 0);
          cache.reserve(rows + 16);
          for (let i = 0; i < 16; i++) device.scope(() => sampler.choose(network.step(sampler.token, cache), 1 + i, i));
        });
      });
      cache.clone();
      device.flush();
      const expected = 16 * decoderFlops(geometry, 1, rows + 7.5);
      expect((count.flops - before) / expected).toBeCloseTo(1, 6);
      check(count);
    });
  });
});

test("an answer is the same however its work is cut, while rates are learnt", async () => {
  const model = await LlavaOneVision.load(TINY_FOLDER);
  const { device } = model;
  const ask = async () => {
    const session = model.createSession();
    const content = [
      { type: "image" as const, image: join(TINY_FOLDER, "examples/00-shapes.png") },
      { type: "text" as const, text: "What do you see?" },
    ];
    const { tokens } = await session.generate([{ role: "user", content }]).result;
    session.dispose();
    return tokens;
  };
  const whole = await ask();
  // Slower than any adapter.
  const rates = { flops: 1e5, bytes: 1e5 };
  device.budget.rates = rates;
  expect(await ask()).toEqual(whole);
  expect(device.budget.rates.flops).toBeGreaterThan(rates.flops);
  expect(device.budget.rates.bytes).toBeGreaterThan(rates.bytes);
  model.dispose();
});
