import { beforeEach, expect, it } from "vitest";
import { samplingProbabilities } from "../../src/bench/reference/choose.js";
import { SEARCH_STATE } from "../../src/kernels/cutoff-floor.js";
import { rankWithCutoff, type Truncation } from "../../src/kernels/sampling-cutoff.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// The floor, and what is listed above it: the tensor `search`, as it was bound.

const held = useDevice();
/** Places of numbers of the search so far. */
const placeOf = (name: string) => Number(new RegExp(`const ${name} = (\\d+)u`).exec(SEARCH_STATE)![1]);
const [FLOOR, BY_BUCKET, LISTED, MASS] = ["FLOOR", "BY_BUCKET", "LISTED", "MASS"].map(placeOf) as [
  number,
  number,
  number,
  number,
];
let search: Tensor;
const ran = useFacts(held, { onCPU: false, broadcastLanes: 0 });
beforeEach(() => {
  const { run } = held.device;
  held.device.run = (kernel, tensors, ...others) => {
    search = tensors.search ?? search;
    run(kernel, tensors, ...others);
  };
});

/** Returns the numbers of a search. */
async function searchOf(logits: Float32Array, some: Partial<Truncation>): Promise<Uint32Array> {
  const { device } = held;
  const kept = device.scope(() => {
    const x = device.upload(logits, [1, logits.length], "logits");
    const penalties = { repetition: 1, presence: 0, frequency: 0 };
    rankWithCutoff(x, logits.length, 1, penalties, {}, { topK: 0, topP: 1, minP: 0, ...some });
    return search;
  });
  const words = await kept.read("u32");
  kept.dispose();
  return words;
}

const rankOf = (value: number): number => {
  const [size] = new Uint32Array(Float32Array.of(Math.abs(value)).buffer);
  return value < 0 ? 0x80000000 - size! : 0x80000000 + size!;
};
const COUNT = 100_000;

it.each([1, 20, 50, 500])("lists for top-%i few more ranks than that, and no buckets", async (topK) => {
  const logits = normals(COUNT, 3, 3);
  const words = await searchOf(logits, { topK, topP: 0.9 });
  const kth = Float32Array.from(logits).sort().reverse()[topK - 1]!;
  expect(words[FLOOR]).toBeLessThanOrEqual(rankOf(kth));
  expect(words[LISTED]).toBe(logits.filter((e) => rankOf(e) >= words[FLOOR]!).length);
  expect(words[LISTED]).toBeGreaterThanOrEqual(topK);
  expect(words[LISTED]).toBeLessThan(1.3 * topK + 20);
  expect(ran).toEqual(["rankLogits", "cutoffFloor", "cutoffCollect", "cutoffSearch"]);
});

it("weighs all ranks for top-p, and lists the highest where these have enough of it", async () => {
  const logits = normals(COUNT, 5, 4);
  const words = await searchOf(logits, { topP: 0.5 });
  const highest = Math.max(...logits);
  const mass = logits.reduce((sum, e) => sum + Math.exp(e - highest), 0);
  const [found] = new Float32Array(words.slice(MASS, MASS + 1).buffer);
  expect(found! / mass).toBeCloseTo(1, 5);
  expect(words[BY_BUCKET]).toBe(0);
  expect(words[LISTED]).toBeLessThan(1000);
});

it("leaves out what has less than half of the rest of a flat distribution's probability", async () => {
  const logits = normals(COUNT, 5, 1.5);
  const topP = 0.8;
  const words = await searchOf(logits, { topP });
  expect(ran).toContain("cutoffBuckets");
  expect(words[BY_BUCKET]).toBe(1);
  const { length: count } = logits;
  const probabilities = samplingProbabilities(logits, { count }, { temperature: 1, topK: 0, topP: 1, minP: 0 });
  const below = probabilities.reduce((sum, p, i) => sum + (rankOf(logits[i]!) < words[FLOOR]! ? p : 0), 0);
  expect(below).toBeGreaterThan(0);
  expect(below).toBeLessThan((1 - topP) / 2);
});
