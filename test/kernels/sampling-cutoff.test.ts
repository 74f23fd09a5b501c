import { expect, it } from "vitest";
import { samplingProbabilities } from "../../src/bench/reference/choose.js";
import type { Truncation } from "../../src/kernels/sampling-cutoff.js";
import { cutRanks } from "../support/cutoff-search.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const ALL: Truncation = { topK: 0, topP: 1, minP: 0 };

/** The tokens that survive the cutoff. */
async function kept(logits: Float32Array, truncation: Truncation, temperature = 1): Promise<number[]> {
  const { device } = held;
  const [ranks, cutoff] = device.scope(() => {
    const { ranks, cutoff } = cutRanks(device, logits, truncation, temperature);
    return [ranks, cutoff] as const;
  });
  const lowest = (await cutoff.read("u32"))[0]!;
  const survivors = Array.from(await ranks.read("u32"), (rank, i) => (rank >= lowest ? i : -1)).filter((i) => i >= 0);
  for (const tensor of [ranks, cutoff]) tensor.dispose();
  return survivors;
}

it.each<[string, Partial<Truncation>, number]>([
  ["the 40 of the highest probability", { topK: 40 }, 1],
  ["more than there are", { topK: 5000 }, 1],
  ["80 % of the probability", { topP: 0.8 }, 1],
  ["the first few of a cold distribution", { topP: 0.5 }, 0.3],
  ["those not ten times less probable", { minP: 0.1 }, 1],
  ["what all three leave", { topK: 50, topP: 0.9, minP: 0.02 }, 0.9],
])("keeps %s, as sorting would", async (_, some, temperature) => {
  const logits = normals(1500, 7, 2.5);
  const truncation = { ...ALL, ...some };
  const probabilities = samplingProbabilities(logits, { count: logits.length }, { ...truncation, temperature });
  const truth = [...probabilities.entries()].filter(([, p]) => p > 0).map(([i]) => i);
  expect(await kept(logits, truncation, temperature)).toEqual(truth);
});

it("keeps all of equals at the edge", async () => {
  expect((await kept(new Float32Array(300).fill(1), { ...ALL, topK: 3 })).length).toBe(300);
  expect(await kept(Float32Array.of(1, 3, 2, 2, 2, 0), { ...ALL, topK: 2 })).toEqual([1, 2, 3, 4]);
});

it.each<[string, Partial<Truncation>]>([
  ["top-k", { topK: 700 }],
  ["top-p", { topP: 0.4 }],
  ["both", { topK: 9000, topP: 0.7 }],
])("finds %s among more near equals than are listed", async (_, some) => {
  // All in one bucket, twice as many as the list has room for.
  const logits = normals(16_384, 3, 0.002);
  const truncation = { ...ALL, ...some };
  const probabilities = samplingProbabilities(logits, { count: logits.length }, { ...truncation, temperature: 1 });
  const truth = [...probabilities.entries()].filter(([, p]) => p > 0).map(([i]) => i);
  const got = await kept(logits, truncation);
  // Masses of so many are summed in f32: the edge may be a few tokens off.
  const wrong = truth.filter((i) => !got.includes(i)).length + got.filter((i) => !truth.includes(i)).length;
  expect(wrong).toBeLessThanOrEqual(some.topP === undefined ? 0 : 3);
});

it("finds top-k far below the highest, as at a low temperature", async () => {
  const logits = Float32Array.from({ length: 3000 }, (_, i) => (i === 7 ? 500 : 500 - 40 - ((i * 37) % 3000) / 9));
  for (const topK of [2, 50, 2500]) {
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
    expect(await kept(logits, { ...ALL, topK })).toEqual(order.slice(0, topK).sort((a, b) => a - b));
  }
});

it("keeps one at least", async () => {
  const steep = Float32Array.from({ length: 300 }, (_, i) => -i * 30);
  for (const some of [{ topP: 1e-9 }, { topP: 1e-45 }, { topK: 1 }, { minP: 1 }]) {
    expect(await kept(steep, { ...ALL, ...some })).toEqual([0]);
  }
});

it("never keeps minus infinity or NaN", async () => {
  const logits = Float32Array.of(Number.NEGATIVE_INFINITY, 2, Number.NaN, -80, 1);
  for (const some of [{}, { topK: 9 }, { topP: 0.9999999 }]) {
    expect(await kept(logits, { ...ALL, ...some })).not.toEqual(expect.arrayContaining([0]));
    expect(await kept(logits, { ...ALL, ...some })).not.toEqual(expect.arrayContaining([2]));
  }
  expect(await kept(logits, ALL)).toEqual([1, 3, 4]);
});
