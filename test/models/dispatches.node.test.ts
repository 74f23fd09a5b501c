import { describe, expect, test } from "vitest";
import { GEOMETRY_05B } from "../../src/bench/geometries.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { KVPool } from "../../src/layers/kv-pool.js";
import type { StoredType } from "../../src/layers/weights.js";
import { Sampler, type SamplerOptions } from "../../src/models/chat/sampler.js";
import { counting } from "../support/counting.js";

// Dispatches of a decode step of the 0.5B model, on a mock GPU that counts: each one costs some microseconds, whatever it computes.

const LAYERS = 24;

/** Dispatches of the ninth token after a prompt of `cached` rows. */
function dispatchesOfToken(type: StoredType, cached: number, rules: Partial<SamplerOptions>, layers = LAYERS): number {
  const unlimited = { flops: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
  const { text } = GEOMETRY_05B;
  const geometry = { ...GEOMETRY_05B, text: { ...text, layers, vocabulary: 152_000 } };
  const { device, arena, network, count } = counting(geometry, type, unlimited);
  const cache = new KVCache(device, layers, text.keyValueHeads * text.headSize, "f16");
  cache.reserve(cached + 16);
  cache.length = cached;
  return arena.run(() => {
    const sampler = new Sampler(device, { eosTokens: [], allowed: 151_646, ...rules }, 16);
    const before = count.dispatches;
    device.scope(() => sampler.choose(network.step(sampler.token, cache), 9, 9));
    return count.dispatches - before;
  });
}

/** Dispatches of a step of some sequences, and bytes of weights that its products read: each workgroup along y reads them once. */
function stepOf(type: StoredType, sequences: number): { bytes: number; dispatches: number } {
  const unlimited = { flops: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
  const { text } = GEOMETRY_05B;
  const geometry = { ...GEOMETRY_05B, text: { ...text, layers: 2, vocabulary: 152_000 } };
  const { device, arena, network, count } = counting(geometry, type, unlimited);
  let bytes = 0;
  const run = device.run.bind(device);
  device.run = (kernel, tensors, parameters, grid, work) => {
    if (kernel.name.startsWith("mat")) bytes += tensors.weights!.sizeBytes * (grid[1] ?? 1);
    run(kernel, tensors, parameters, grid, work);
  };
  return arena.run(() => {
    const pool = new KVPool(device, 2, text.keyValueHeads * text.headSize, "f16");
    const rows = Array.from({ length: sequences }, (_, i) => {
      const cache = new KVCache(device, pool.layers, pool.width, pool.type, 2000, pool);
      cache.reserve(1064);
      cache.length = 1000 + i;
      return { cache, rows: 1 };
    });
    const before = count.dispatches;
    device.scope(() => void network.stepAll(device.empty([sequences], "u32", "ids"), rows));
    return { bytes, dispatches: count.dispatches - before };
  });
}

describe.each(["q4", "q8", "f16"] as const)("weights in %s", (type) => {
  test("at most 6 per layer", () => {
    const perLayer = dispatchesOfToken(type, 1000, {}) - dispatchesOfToken(type, 1000, {}, LAYERS - 1);
    expect(perLayer).toBe(6);
  });
  test("a step of 2 to 16 sequences reads the weights as often as a step of one: once", () => {
    const one = stepOf(type, 1).bytes;
    expect(one).toBeGreaterThan(0);
    for (const sequences of [2, 3, 8, 11, 16]) expect(stepOf(type, sequences).bytes).toBe(one);
  });
  test("a step of 16 sequences has as many dispatches as a step of two", () => {
    const two = stepOf(type, 2).dispatches;
    expect(two).toBeLessThanOrEqual(stepOf(type, 1).dispatches + 2 * 3 + 1);
    for (const sequences of [3, 8, 11, 16]) expect(stepOf(type, sequences).dispatches).toBe(two);
  });
  test("at most 150 per token when greedy, 156 with top-k and top-p", () => {
    expect(dispatchesOfToken(type, 8000, {})).toBe(149);
    expect(dispatchesOfToken(type, 8000, { temperature: 0.7, topK: 40, topP: 0.9, seed: 1 })).toBe(153);
    expect(dispatchesOfToken(type, 8000, { temperature: 0.7, topP: 0.9, seed: 1 })).toBe(155);
  });
});
