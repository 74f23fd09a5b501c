import { describe, expect, it } from "vitest";
import { samplingProbabilities } from "../../src/bench/reference/choose.js";
import { CAPACITY } from "../../src/kernels/cutoff-floor.js";
import { LISTABLE } from "../../src/kernels/cutoff-mass-floor.js";
import { useFacts } from "../support/adapters.js";
import { rankOf, searchState, useSearches } from "../support/cutoff-search.js";
import { useDevice } from "../support/device.js";
import { gaussians } from "../support/random.js";

// The floor of top-p, and what is listed above it, compared with the cutoff of sorting in float64.

const held = useDevice();
const { FLOOR, BY_BUCKET, LISTED, MASS } = searchState;
const COUNT = 100_000;

/** Two heights, the higher one of every `period`-th token. */
const plateaus = (period: number, height: number) =>
  Float32Array.from({ length: COUNT }, (_, i) => (i % period === 0 ? height : 0));

const DISTRIBUTIONS: readonly (readonly [string, Float32Array])[] = [
  ["all equal", new Float32Array(COUNT).fill(-3)],
  ["one and equals", Float32Array.from({ length: COUNT }, (_, i) => (i === 77_777 ? 9 : 1))],
  ["two plateaus, of which the higher has half", plateaus(100, Math.log(99))],
  ["two plateaus, of which the higher has nearly all", plateaus(1000, 12)],
  ["normal, of deviation 0.01", gaussians(COUNT, 3, 0.01)],
  ["normal, of deviation 1", gaussians(COUNT, 4, 1)],
  ["normal, of deviation 3", gaussians(COUNT, 5, 3)],
  ["normal, of deviation 4.3", gaussians(COUNT, 6, 4.3)],
  ["normal, of deviation 6", gaussians(COUNT, 7, 6)],
  ["normal, far from zero", gaussians(COUNT, 8, 4).map((e) => e + 1000)],
  ["a slope", Float32Array.from({ length: COUNT }, (_, i) => -i / 500)],
  ["half of it minus infinity", gaussians(COUNT, 9, 4).map((e, i) => (i < COUNT / 2 ? Number.NEGATIVE_INFINITY : e))],
];

describe.each([
  ["this adapter", {}],
  ["GPUs", { onCPU: false, broadcastLanes: 0 }],
] as const)("with the kernels of %s", (_name, facts) => {
  const ran = useFacts(held, facts);
  const searchOf = useSearches(held);

  it.each(DISTRIBUTIONS)("is not above the cutoff: %s", async (_, logits) => {
    const rules = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const probabilities = samplingProbabilities(logits, { count: COUNT }, rules);
    const descending = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
    for (const topP of [1e-6, 0.3, 0.8, 0.95, 0.999, 0.99995]) {
      let mass = 0;
      const last = descending.find((i) => {
        mass += probabilities[i]!;
        return mass >= topP;
      })!;
      const words = await searchOf(logits, { topP });
      expect(words[FLOOR]).toBeLessThanOrEqual(rankOf(logits[last]!));
      // Few are listed, or buckets tell which.
      if (words[BY_BUCKET] === 0) {
        expect(words[LISTED]).toBe(logits.filter((e) => rankOf(e) >= words[FLOOR]!).length);
        expect(words[LISTED]).toBeLessThanOrEqual(LISTABLE);
      }
    }
  });

  it("weighs all ranks, and lists little more than the cutoff leaves", async () => {
    const logits = gaussians(COUNT, 5, 4.3);
    for (const [topP, most] of [
      [0.5, 1.5],
      [0.8, 1.5],
      [0.95, 4],
    ] as const) {
      const words = await searchOf(logits, { topP });
      const highest = Math.max(...logits);
      const mass = logits.reduce((sum, e) => sum + Math.exp(e - highest), 0);
      const [found] = new Float32Array(words.slice(MASS, MASS + 1).buffer);
      expect(found! / mass).toBeCloseTo(1, 5);
      expect(words[BY_BUCKET]).toBe(0);
      const probabilities = samplingProbabilities(logits, { count: COUNT }, { temperature: 1, topK: 0, topP, minP: 0 });
      const kept = probabilities.filter((p) => p > 0).length;
      expect(words[LISTED]).toBeGreaterThanOrEqual(kept);
      expect(words[LISTED]! / kept).toBeLessThan(most);
    }
  });

  it("leaves out what has less than the rest of a flat distribution's probability", async () => {
    const logits = gaussians(COUNT, 5, 1.5);
    const topP = 0.8;
    const words = await searchOf(logits, { topP });
    expect(ran).toContain("cutoffBuckets");
    expect(words[BY_BUCKET]).toBe(1);
    expect(words[LISTED]).toBeLessThan(CAPACITY);
    const rules = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const probabilities = samplingProbabilities(logits, { count: COUNT }, rules);
    const below = probabilities.reduce((sum, p, i) => sum + (rankOf(logits[i]!) < words[FLOOR]! ? p : 0), 0);
    expect(below).toBeGreaterThan(0);
    expect(below).toBeLessThan(1 - topP);
  });
});
