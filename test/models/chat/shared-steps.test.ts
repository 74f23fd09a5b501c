import { beforeAll, expect, test } from "vitest";
import type { KVCache } from "../../../src/layers/kv-cache.js";
import { Sampler } from "../../../src/models/chat/sampler.js";
import { SamplerRows } from "../../../src/models/chat/sampler-rows.js";
import { SharedSteps, type StepMember } from "../../../src/models/chat/shared-steps.js";
import type { Network } from "../../../src/models/llava-onevision/network.js";
import type { Tensor } from "../../../src/runtime/tensor.js";
import { useTiny } from "../../support/tiny-model.js";

const held = useTiny();
let network: Network;
let allowed: number;
beforeAll(() => {
  ({ network } = held.model.internals);
  allowed = network.config.text.vocabulary;
});

function cacheOf(): KVCache {
  const cache = network.cache("f32", 64, held.model.internals.kvPool);
  cache.reserve(8);
  return cache;
}

test("a choice that waited for its mask is made with those of others, and is what it is alone", async () => {
  const { device } = held;
  const rows = new SamplerRows(device, allowed, device.arena("samplers"));
  const members = new Set<StepMember>();
  const steps = new SharedSteps(network, members, () => false);
  const all = [3, 200, 7].map((token, seed) => {
    const sampler = new Sampler(device, { eosTokens: [], allowed, temperature: 1, seed }, true, rows);
    device.write(sampler.token, Uint32Array.of(token));
    const member = { cache: cacheOf(), owesChoice: false };
    members.add(member);
    return { member, sampler, logits: rows.logits.take(), alone: 0 };
  });
  // Even tokens only.
  const mask = new Uint32Array(Math.ceil(allowed / 32)).fill(0x55555555);
  for (const one of all) {
    const answer = device.scope(() => {
      const logits = network.step(one.sampler.token, one.member.cache);
      one.sampler.allow(mask);
      const token = device.empty([1], "u32", "token before");
      device.copy(one.sampler.token, 0, token, 0, 4);
      one.sampler.choose(logits, 4, 0);
      device.copy(token, 0, one.sampler.token, 0, 4);
      return one.sampler.answer;
    });
    one.alone = (await answer.read("u32"))[0]!;
    expect(one.alone % 2).toBe(0);
    one.member.cache.truncate(0);
  }
  const before = device.counters.dispatches;
  await Promise.all(
    all.map(async ({ member, sampler, logits }) => {
      const use = (own: Tensor) => device.copy(own, 0, logits.place.tensor, logits.place.first * 4, own.sizeBytes);
      await steps.step(member, { sampler, use });
      expect(member.owesChoice).toBe(true);
      await steps.choose(member, { sampler, logits, index: 4 });
    }),
  );
  expect(device.counters.dispatches - before).toBeLessThan(100);
  for (const { sampler, alone } of all) expect((await sampler.answer.read("u32"))[0]).toBe(alone);
  for (const { member, sampler, logits } of all) {
    member.cache.dispose();
    sampler.dispose();
    logits.release();
  }
});

test("a sequence that has left is not waited for, and takes part in nothing", async () => {
  const { device } = held;
  const rows = new SamplerRows(device, allowed, device.arena("samplers"));
  const members = new Set<StepMember>();
  const steps = new SharedSteps(network, members, () => false);
  const [first, second] = [0, 1].map(() => {
    const sampler = new Sampler(device, { eosTokens: [], allowed }, false, rows);
    device.write(sampler.token, Uint32Array.of(5));
    return { cache: cacheOf(), owesChoice: false, sampler };
  });
  members.add(first!).add(second!);
  const step = steps.step(first!, { sampler: first!.sampler, choice: { index: 0, at: 0 } });
  members.delete(second!);
  void steps.step(second!, { sampler: second!.sampler });
  steps.left(second!);
  await step;
  expect([first!.cache.length, second!.cache.length]).toEqual([1, 0]);
  for (const { cache, sampler } of [first!, second!]) {
    cache.dispose();
    sampler.dispose();
  }
});
