import { describe, expect, test } from "vitest";
import { GEOMETRY_05B } from "../../src/bench/geometries.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { KVPool } from "../../src/layers/kv-pool.js";
import type { StoredType } from "../../src/layers/weights.js";
import { Batching } from "../../src/models/chat/batching.js";
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
    const sampler = new Sampler(device, { eosTokens: [], allowed: 151_646, ...rules });
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

/** Dispatches of a step of as many sequences, with the choice of their tokens: at once, or when their masks are known. */
async function chosenStepOf(rules: readonly Partial<SamplerOptions>[], masked = false): Promise<number> {
  const unlimited = { flops: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
  const { text } = GEOMETRY_05B;
  const geometry = { ...GEOMETRY_05B, text: { ...text, layers: 1, vocabulary: 152_000 } };
  const { device, network, count } = counting(geometry, "q4", unlimited);
  const batching = new Batching(network);
  const pool = new KVPool(device, 1, text.keyValueHeads * text.headSize, "f16");
  const members = rules.map((own) => {
    const cache = new KVCache(device, pool.layers, pool.width, pool.type, 2000, pool);
    cache.reserve(64);
    const options = { eosTokens: [], allowed: 151_646, ...own };
    return {
      member: batching.join(cache, false),
      sampler: new Sampler(device, options, masked, batching.samplerRows),
    };
  });
  const before = count.dispatches;
  await Promise.all(
    members.map(async ({ member, sampler }) => {
      if (!masked) return member.step({ sampler, choice: { index: 9, at: 0 } });
      const logits = batching.samplerRows.logits.take();
      await member.step({ sampler });
      await member.choose({ sampler, logits, index: 9 });
    }),
  );
  return count.dispatches - before;
}

test("the choices of 16 sequences take as many dispatches as those of two, each with its own parameters", async () => {
  const greedy = (i: number) => ({ repetitionPenalty: 1 + i / 10, minNewTokens: i });
  const sampled = (i: number) => ({ temperature: 0.5 + i / 10, topK: 10 + i, topP: 0.9 - i / 100, seed: i });
  for (const rules of [greedy, sampled]) {
    const counts = [2, 3, 8, 16].map((n) => chosenStepOf(Array.from({ length: n }, (_, i) => rules(i + 1))));
    expect(new Set(await Promise.all(counts)).size).toBe(1);
  }
  const masked = [2, 3, 16].map((n) => chosenStepOf(Array(n).fill({}), true));
  expect(new Set(await Promise.all(masked)).size).toBe(1);
  // Both kinds in one step.
  const mixed = (n: number) => chosenStepOf(Array.from({ length: n }, (_, i) => (i % 2 ? greedy(i) : sampled(i))));
  expect(await mixed(16)).toBe(await mixed(4));
});

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
