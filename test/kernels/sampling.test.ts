import { describe, expect, it } from "vitest";
import { gumbel, type ReferenceSampling, samplingProbabilities } from "../../src/bench/reference/choose.js";
import { type ChoiceState, chooseToken } from "../../src/kernels/choose-token.js";
import { rngKey } from "../../src/models/chat/sampler.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// Draws of a token on the device: the noise is what the reference says, and tokens come as often as they should.

const held = useDevice();
const ALL: ReferenceSampling = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const PENALTIES = { repetition: 1, presence: 0, frequency: 0 };

/** As many samples from the same logits, each with the RNG key of another step. */
async function samples(
  logits: Float32Array,
  sampling: ReferenceSampling,
  seed: number,
  count: number,
  rules: { seen?: number[]; penalties?: typeof PENALTIES; banned?: number[] } = {},
): Promise<number[]> {
  const { device } = held;
  const { seen = [], penalties = PENALTIES, banned = [] } = rules;
  const answer = device.scope(() => {
    const token = device.empty([1], "u32", "token");
    const answer = device.empty([count], "u32", "answer");
    const x = device.upload(logits, [1, logits.length], "logits");
    const bits = new Uint32Array(Math.ceil(logits.length / 32)).fill(0xffffffff);
    for (const barred of banned) bits[barred >>> 5]! &= ~(1 << (barred & 31));
    const mask = banned.length > 0 ? device.upload(bits, [bits.length], "mask") : undefined;
    for (let at = 0; at < count; at++) {
      device.scope(() => {
        const times = new Uint32Array(logits.length);
        for (const s of seen) times[s]!++;
        const counts = seen.length > 0 ? device.upload(times, [times.length], "counts") : undefined;
        const state: ChoiceState = { token, answer, counts };
        const key = rngKey(seed, at);
        chooseToken(x, state, { count: logits.length, at, penalties, mask, sampling: { ...sampling, rngKey: key } });
      });
    }
    return answer;
  });
  const tokens = [...(await answer.read("u32"))];
  answer.dispose();
  return tokens;
}

/** Pearson's figure and how far it is from what is to be expected, in standard deviations of a normal distribution. */
function chiSquare(
  tokens: readonly number[],
  probabilities: Float64Array,
): { figure: number; free: number; z: number } {
  const seen = new Float64Array(probabilities.length);
  for (const token of tokens) seen[token]!++;
  let [figure, bins, restSeen, restExpected] = [0, 0, 0, 0];
  for (let i = 0; i < probabilities.length; i++) {
    const expected = probabilities[i]! * tokens.length;
    if (expected < 5) {
      restSeen += seen[i]!;
      restExpected += expected;
    } else {
      figure += (seen[i]! - expected) ** 2 / expected;
      bins++;
    }
  }
  if (restExpected > 1) {
    figure += (restSeen - restExpected) ** 2 / restExpected;
    bins++;
  }
  const free = Math.max(1, bins - 1);
  // Wilson and Hilferty: the cube root is nearly normal.
  const z = (Math.cbrt(figure / free) - (1 - 2 / (9 * free))) / Math.sqrt(2 / (9 * free));
  return { figure, free, z };
}

describe("drawing a token", () => {
  const logits = normals(1500, 7, 2.5);
  const cases: Record<string, ReferenceSampling> = {
    "of all": ALL,
    hot: { ...ALL, temperature: 1.7 },
    cold: { ...ALL, temperature: 0.3 },
    "top-k 40": { ...ALL, topK: 40 },
    "of 80 % of the probability": { ...ALL, topP: 0.8 },
    "of those not ten times less probable": { ...ALL, minP: 0.1 },
    "under all three": { temperature: 0.9, topK: 50, topP: 0.9, minP: 0.02 },
  };
  for (const [name, sampling] of Object.entries(cases)) {
    it(`2,000 ${name} come as often as softmax says`, async () => {
      const probabilities = samplingProbabilities(logits, { count: logits.length }, sampling);
      const tokens = await samples(logits, sampling, 2026, 2000);
      expect(tokens.filter((token) => probabilities[token] === 0)).toEqual([]);
      const { figure, free, z } = chiSquare(tokens, probabilities);
      console.log(`${name}: chi-square ${figure.toFixed(1)} with ${free} degrees of freedom, z ${z.toFixed(2)}`);
      expect(z).toBeLessThan(3.7);
    });
  }

  it("the same seed samples the same, another seed another", async () => {
    const first = await samples(logits, ALL, 5, 64);
    expect(await samples(logits, ALL, 5, 64)).toEqual(first);
    expect(await samples(logits, ALL, 6, 64)).not.toEqual(first);
    // Seeds beyond 32 bits count.
    expect(await samples(logits, ALL, 5 + 2 ** 40, 64)).not.toEqual(first);
  });

  it("takes what has the largest sum of logit and noise", async () => {
    const tokens = await samples(logits, { ...ALL, temperature: 1.3 }, 11, 50);
    for (const [at, token] of tokens.entries()) {
      const key = rngKey(11, at);
      const sums = Array.from(logits, (e, i) => e / 1.3 + gumbel(i, key));
      // Floats may see two that are next to each other the other way round.
      expect(Math.max(...sums) - sums[token]!, `sampling ${at}`).toBeLessThan(1e-4);
    }
  });

  it("of tokens that are left after penalties and a mask", async () => {
    const few = Float32Array.of(5, 4.9, 4.8, Number.NaN, Number.NEGATIVE_INFINITY, -90, 4.7);
    const rules = { seen: [0, 0, 6], penalties: { repetition: 1, presence: 1, frequency: 2 }, banned: [1] };
    const tokens = await samples(few, ALL, 3, 600, rules);
    const probabilities = samplingProbabilities(few, { count: 7, ...rules }, ALL);
    expect([...new Set(tokens)].filter((token) => probabilities[token] === 0)).toEqual([]);
    expect(chiSquare(tokens, probabilities).z).toBeLessThan(3.7);
  });

  it("equals at the edge stay together, and one is always left", async () => {
    const even = new Float32Array(300).fill(1);
    expect(new Set(await samples(even, { ...ALL, topK: 3 }, 1, 300)).size).toBeGreaterThan(100);
    const steep = Float32Array.from({ length: 300 }, (_, i) => -i * 30);
    for (const sampling of [
      { ...ALL, topP: 1e-9 },
      { ...ALL, topK: 1 },
      { ...ALL, minP: 1 },
    ]) {
      expect(new Set(await samples(steep, sampling, 1, 20))).toEqual(new Set([0]));
    }
  });

  it("of 151,936", async () => {
    const large = normals(151_936, 5, 3);
    const sampling = { temperature: 0.8, topK: 1000, topP: 0.7, minP: 0 };
    const probabilities = samplingProbabilities(large, { count: large.length }, sampling);
    const tokens = await samples(large, sampling, 9, 24);
    expect(tokens.filter((token) => probabilities[token] === 0)).toEqual([]);
    expect(new Set(tokens).size).toBeGreaterThan(12);
  });
});
