import { describe, expect, it } from "vitest";
import { samplingProbabilities } from "../../src/bench/reference/choose.js";
import { unitsFor } from "../../src/kernels/cutoff-buckets.js";
import type { Truncation } from "../../src/kernels/sampling-cutoff.js";
import { useFacts } from "../support/adapters.js";
import { cutRanks } from "../support/cutoff-search.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const COUNT = 60_000;

describe.each([
  ["this adapter", {}],
  ["GPUs", { onCPU: false, broadcastLanes: 0 }],
] as const)("with the kernels of %s", (_name, facts) => {
  const ran = useFacts(held, facts);

  it.each<[string, Partial<Truncation>, number]>([
    ["top-p of a flat distribution", { topP: 0.6 }, 1],
    ["nearly all of it", { topP: 0.999 }, 1],
    ["top-k of thousands", { topK: 7000 }, 1],
    ["top-p of top-k of thousands", { topK: 9000, topP: 0.7 }, 1.5],
    ["top-k of more than there are, and top-p", { topK: 70_000, topP: 0.5 }, 2],
  ])("finds %s in buckets, as sorting would", async (_, some, deviation) => {
    const { device } = held;
    const logits = normals(COUNT, 11, deviation);
    const truncation = { topK: 0, topP: 1, minP: 0, ...some };
    const [ranks, cutoff] = device.scope(() => {
      const found = cutRanks(device, logits, truncation);
      return [found.ranks, found.cutoff] as const;
    });
    expect(ran.slice(2, 4)).toEqual(["cutoffBuckets", "cutoffBounds"]);
    const [lowest] = await cutoff.read("u32");
    const kept = [...(await ranks.read("u32"))].map((rank) => rank >= lowest!);
    for (const tensor of [ranks, cutoff]) tensor.dispose();
    const probabilities = samplingProbabilities(logits, { count: COUNT }, { ...truncation, temperature: 1 });
    const wrong = kept.filter((own, i) => own !== probabilities[i]! > 0).length;
    // Masses of thousands are summed in f32: the edge may be a few tokens off.
    expect(wrong).toBeLessThanOrEqual(truncation.topP === 1 ? 0 : 3);
  });
});

it("adds weights in units so fine that the sum of all fits a word", () => {
  for (const count of [1, 1000, 151_936, 2 ** 24]) {
    const units = Number(/UNITS = ([\d.]+);/.exec(unitsFor(count))![1]);
    expect(units * (1 / 32) * count).toBeLessThan(2 ** 32);
  }
});
