import { expect, test } from "vitest";
import { Sampler, type SamplerOptions } from "../../../src/models/chat/sampler.js";
import { useDevice } from "../../support/device.js";
import { normals } from "../../support/random.js";

const held = useDevice();

const COUNT = 500;

/** The tokens chosen from one row of logits with ten random keys. */
async function chosen(logits: Float32Array, options: Partial<SamplerOptions>): Promise<number[]> {
  const { device } = held;
  const arena = device.arena("sampler");
  const tokens = arena.run(() => {
    const sampler = new Sampler(device, { eosTokens: [], allowed: COUNT, seed: 5, ...options });
    const x = device.upload(logits, [1, COUNT], "logits");
    for (let i = 0; i < 10; i++) sampler.choose(x, i, i);
    return sampler.answer;
  });
  const all = [...(await tokens.read("u32"))].slice(0, 10);
  arena.dispose();
  return all;
}

test("tiny temperatures and top-p choose greedily, without overflow", async () => {
  for (const scale of [1, 1e4, 1e30]) {
    const logits = normals(COUNT, 3, scale);
    const best = logits.indexOf(Math.max(...logits));
    for (const temperature of [1e-5, 1e-6, 1e-30, 1e-45, 5e-324]) {
      expect(await chosen(logits, { temperature }), `temperature ${temperature}`).toEqual(Array(10).fill(best));
      expect(await chosen(logits, { temperature, topK: 40, topP: 0.9, minP: 0.01 })).toEqual(Array(10).fill(best));
    }
    for (const topP of [1 / COUNT, 1e-6, 1e-45, 5e-324]) {
      expect(await chosen(logits, { temperature: 1, topP }), `topP ${topP}`).toEqual(Array(10).fill(best));
    }
  }
  // Where chance has a say, ten keys do not agree.
  expect(new Set(await chosen(normals(COUNT, 3), { temperature: 1, topP: 0.99 })).size).toBeGreaterThan(1);
});

test("the tokens that were given count for the penalties", async () => {
  const logits = new Float32Array(COUNT);
  logits[7] = 3;
  logits[8] = 2;
  const options = { frequencyPenalty: 0.6 };
  expect((await chosen(logits, options)).slice(0, 3)).toEqual([7, 7, 8]);
  expect((await chosen(logits, { ...options, given: [7] })).slice(0, 3)).toEqual([7, 8, 7]);
  expect((await chosen(logits, { ...options, given: [7, 7, 7] })).slice(0, 2)).toEqual([8, 8]);
});
