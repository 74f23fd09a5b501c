import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { GEOMETRY_7B, GEOMETRY_05B, GEOMETRY_72B, type Geometry } from "../../src/bench/geometries.js";
import type { RowPiece } from "../../src/kernels/resample.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { Sampler } from "../../src/models/chat/sampler.js";
import { packImage, planImage } from "../../src/models/llava-onevision/packing.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { FIRST_RATES, type Rates, SUBMISSION_MS } from "../../src/runtime/work-budget.js";
import { type Count, counting } from "../support/counting.js";
import { TINY_FOLDER } from "../support/damaged.js";

// Every workload of every published size on a mock GPU: the work of its submissions and dispatches against the bound. Layers are alike,
// so two of each part are enough.

const LAYERS = 2;

const ofTwoLayers = ({ vision, text }: Geometry): Geometry => ({
  vision: { ...vision, layers: LAYERS },
  text: { ...text, layers: LAYERS },
});

const MODELS: Readonly<Record<string, Geometry>> = {
  "0.5B": ofTwoLayers(GEOMETRY_05B),
  "7B": ofTwoLayers(GEOMETRY_7B),
  "72B": ofTwoLayers(GEOMETRY_72B),
};

const { flops, bytes } = FIRST_RATES;
/** Rates of the first submissions, and some learnt later: a laptop's GPU, a fast one, and one with little bandwidth. */
const RATES: Readonly<Record<string, Rates>> = {
  "the first rates": FIRST_RATES,
  "1 TFLOP/s and 40 GB/s": { flops: 10 * flops, bytes: 4 * bytes },
  "30 TFLOP/s and 1 TB/s": { flops: 300 * flops, bytes: 100 * bytes },
  "5 TFLOP/s and 25 GB/s": { flops: 50 * flops, bytes: 2.5 * bytes },
};

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
        const sampler = new Sampler(device, { ...rules, allowed: text.vocabulary });
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
