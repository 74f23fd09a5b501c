import { describe, expect, it } from "vitest";
import {
  gumbel,
  type ReferenceSampling,
  chooseToken as reference,
  samplingProbabilities,
} from "../../src/bench/reference/choose.js";
import { type ChoiceState, chooseToken } from "../../src/kernels/choose-token.js";
import { rngKey } from "../../src/models/chat/sampler.js";
import type { Device } from "../../src/runtime/device.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// Choices on the device: greedy ones are those of the host, and sampled tokens come as often as they should.

const held = useDevice();

/** What is told where there is no token to choose. */
const NONE = 2 ** 32 - 1;

/** A choice's state on the device with room for `most` tokens; it counts those of the answer if there are penalties. */
function stateOf(device: Device, count: number, seen: readonly number[], most: number, penalised = true): ChoiceState {
  const counts = new Uint32Array(count);
  for (const token of seen) counts[token]!++;
  return {
    token: device.empty([1], "u32", "token"),
    answer: device.empty([most], "u32", "answer"),
    counts: penalised ? device.upload(counts, [count], "counts") : undefined,
  };
}

/** Bits of all tokens but some. */
function maskWithout(device: Device, count: number, banned: readonly number[]) {
  const mask = new Uint32Array(Math.ceil(count / 32)).fill(0xffffffff);
  for (const token of banned) mask[token >>> 5]! &= ~(1 << (token & 31));
  return device.upload(mask, [mask.length], "mask");
}

const repeated = (repetition: number) => ({ repetition, presence: 0, frequency: 0 });

async function tokensOf(device: Device, work: () => ChoiceState): Promise<number[]> {
  const answer = device.scope(() => work().answer);
  const tokens = [...(await answer.read("u32"))];
  answer.dispose();
  return tokens;
}

describe("greedily", () => {
  for (const count of [1, 15, 16, 17, 127, 2047, 2048, 2049, 10007, 151936]) {
    it(`of ${count} tokens repeatedly, with a penalty and a minimum of tokens before EOS`, async () => {
      const { device } = held;
      const [steps, least] = [12, 5];
      const logits = normals(count + 7, count, 3);
      logits.fill(1e9, count);
      const ends = [...new Set([0, count >> 1, count - 1])];
      for (const token of ends) logits[token] = 40;
      for (const penalty of [1, 1.3, 0.7]) {
        const tokens = await tokensOf(device, () => {
          const state = stateOf(device, count, [], steps, penalty !== 1);
          const x = device.upload(logits, [1, logits.length], "logits");
          const mask = maskWithout(device, count, ends);
          for (let at = 0; at < steps; at++) {
            chooseToken(x, state, { count, at, penalties: repeated(penalty), mask: at < least ? mask : undefined });
          }
          return state;
        });
        const truth: number[] = [];
        for (let at = 0; at < steps; at++) {
          const rules = { count, penalties: repeated(penalty), seen: truth, banned: at < least ? ends : [] };
          const token = reference(logits, rules);
          truth.push(token === count ? NONE : token);
        }
        expect(tokens, `penalty ${penalty}`).toEqual(truth);
      }
    });
  }
});

it("takes the argmax of logits and bias, with a penalty and without", async () => {
  const { device } = held;
  const [count, steps] = [2049, 6];
  const logits = normals(count, 3, 2);
  const bias = new Map(Array.from({ length: 5 }, (_, i) => [400 * i, 9 - i] as const));
  for (const penalty of [1, 4]) {
    const tokens = await tokensOf(device, () => {
      const state = stateOf(device, count, [], steps, penalty !== 1);
      const x = device.upload(logits, [1, count], "logits");
      const all = Float32Array.from({ length: count }, (_, token) => bias.get(token) ?? 0);
      const added = device.upload(all, [count], "bias");
      for (let at = 0; at < steps; at++)
        chooseToken(x, state, { count, at, penalties: repeated(penalty), bias: added });
      return state;
    });
    const truth: number[] = [];
    for (let at = 0; at < steps; at++) {
      truth.push(reference(logits, { count, penalties: repeated(penalty), seen: truth, bias }));
    }
    expect(tokens).toEqual(truth);
    expect([...bias.keys()]).toContain(truth[0]);
  }
});

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
    const mask = banned.length > 0 ? maskWithout(device, logits.length, banned) : undefined;
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

describe("sampled", () => {
  const logits = normals(1500, 7, 2.5);
  // Which tokens are left to sample is tested with the cutoff.
  const cases: Record<string, ReferenceSampling> = {
    "of all": ALL,
    hot: { ...ALL, temperature: 1.7 },
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

  it("of 151,936 tokens, none that has no probability", async () => {
    const large = normals(151_936, 5, 3);
    const sampling = { temperature: 0.8, topK: 1000, topP: 0.7, minP: 0 };
    const probabilities = samplingProbabilities(large, { count: large.length }, sampling);
    const tokens = await samples(large, sampling, 9, 24);
    expect(tokens.filter((token) => probabilities[token] === 0)).toEqual([]);
    expect(new Set(tokens).size).toBeGreaterThan(12);
  });
});
