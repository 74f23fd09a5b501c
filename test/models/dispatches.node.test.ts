import { describe, expect, test } from "vitest";
import { GEOMETRY_05B } from "../../src/bench/loaded-model.js";
import { KVCache } from "../../src/layers/kv-cache.js";
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

describe.each(["q4", "q8", "f16"] as const)("weights in %s", (type) => {
  test("at most 6 per layer", () => {
    const perLayer = dispatchesOfToken(type, 1000, {}) - dispatchesOfToken(type, 1000, {}, LAYERS - 1);
    expect(perLayer).toBe(6);
  });
  test("at most 150 per token when greedy, 156 with top-k and top-p", () => {
    expect(dispatchesOfToken(type, 8000, {})).toBe(149);
    expect(dispatchesOfToken(type, 8000, { temperature: 0.7, topK: 40, topP: 0.9, seed: 1 })).toBe(153);
    expect(dispatchesOfToken(type, 8000, { temperature: 0.7, topP: 0.9, seed: 1 })).toBe(155);
  });
});
