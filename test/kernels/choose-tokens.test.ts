import { describe, expect, it } from "vitest";
import { chooseToken, type Sampling } from "../../src/kernels/choose-token.js";
import { chooseTokens } from "../../src/kernels/choose-tokens.js";
import { useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const PENALTIES = { repetition: 1, presence: 0, frequency: 0 };

describe.each([
  ["this adapter", {}],
  ["GPUs", { onCPU: false, broadcastLanes: 0 }],
] as const)("from several rows at once, with the kernels of %s", (_name, facts) => {
  const ran = useFacts(held, facts);

  it("chooses what it chooses from each alone, with parameters of its own", async () => {
    const { device } = held;
    const [count, width] = [40_000, 40_003];
    const cut = { temperature: 0.8, topK: 0, topP: 1, minP: 0 };
    const sampled = (some: Partial<Sampling>, key: number) => ({ ...cut, rngKey: [key, 3] as const, ...some });
    const penalties = [PENALTIES, { repetition: 1.7, presence: 0.5, frequency: 0.25 }] as const;
    // Every kind of cut, twice, with and without each of counts, bias and mask.
    const rules = [
      undefined,
      sampled({}, 1),
      sampled({ topK: 40, topP: 0.9 }, 2),
      sampled({ topP: 0.9 }, 3),
      sampled({ topK: 3000, topP: 0.8, minP: 0.001 }, 4),
      undefined,
      sampled({ minP: 0.05, temperature: 1.3 }, 5),
      sampled({ topK: 5, topP: 0.5, temperature: 1.1 }, 6),
      sampled({ topP: 0.99 }, 7),
      sampled({ topK: 2500, topP: 0.95 }, 8),
    ].map((sampling, i) => ({
      sampling,
      penalties: penalties[i % 2]!,
      counted: i % 2 === 1,
      biased: i % 3 === 1,
      masked: i % 4 >= 2,
    }));
    const n = rules.length;
    const rowWords = 40_064;
    const logits = normals(n * width, 5, 2);
    const bias = normals(n * rowWords, 6, 1);
    const mask = Uint32Array.from({ length: n * 1280 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) | 1);
    const counts = () => Uint32Array.from({ length: n * rowWords }, (_, i) => (i % 5 === 0 ? i % 4 : 0));
    const tensors = device.scope(() => {
      const x = device.upload(logits, [n, width], "logits");
      const shared = {
        bias: device.upload(bias, [n, rowWords], "bias"),
        mask: device.upload(mask, [n, 1280], "mask"),
        counts: device.upload(counts(), [n, rowWords], "counts"),
        token: device.empty([n, 64], "u32", "tokens"),
        answer: device.empty([n, 64], "u32", "answers"),
      };
      const own = device.upload(counts(), [n, rowWords], "counts");
      const alone = device.empty([n, 64], "u32", "answers");
      for (const [i, { counted, biased, masked, ...rest }] of rules.entries()) {
        const one = device.empty([1, width], "f32", "row");
        device.copy(x, i * width * 4, one, 0, width * 4);
        const state = {
          token: device.empty([1], "u32", "token"),
          answer: alone.part(64 * i, [64]),
          counts: counted ? own.part(i * rowWords, [count]) : undefined,
        };
        chooseToken(one, state, {
          ...rest,
          count,
          at: 2,
          bias: biased ? shared.bias.part(i * rowWords, [count]) : undefined,
          mask: masked ? shared.mask.part(i * 1280, [1250]) : undefined,
        });
      }
      const before = ran.length;
      const place = (name: "bias" | "mask" | "counts" | "token" | "answer", row: number) => ({
        tensor: shared[name],
        first: row * shared[name].size(1),
      });
      chooseTokens(
        device,
        rules.map(({ counted, biased, masked, ...rest }, row) => ({
          ...rest,
          count,
          at: 2,
          logits: { tensor: x, first: row * width },
          token: place("token", row),
          answer: place("answer", row),
          counts: counted ? place("counts", row) : undefined,
          bias: biased ? place("bias", row) : undefined,
          mask: masked ? place("mask", row) : undefined,
        })),
      );
      // A kind of cut costs three to eight dispatches, whatever the number of rows.
      expect(ran.length - before).toBe(3 + 5 + 6 + 8 + 8);
      return { alone, own, answer: shared.answer, token: shared.token, counted: shared.counts };
    });
    const chosen = (all: Uint32Array, at: number) => rules.map((_, row) => all[64 * row + at]!);
    const alone = chosen(await tensors.alone.read("u32"), 2);
    expect(chosen(await tensors.answer.read("u32"), 2)).toEqual(alone);
    expect(chosen(await tensors.token.read("u32"), 0)).toEqual(alone);
    expect(Math.max(...alone)).toBeLessThan(count);
    expect(new Set(alone).size).toBeGreaterThan(5);
    expect(await tensors.counted.read("u32")).toEqual(await tensors.own.read("u32"));
    for (const tensor of Object.values(tensors)) tensor.dispose();
  });
});
