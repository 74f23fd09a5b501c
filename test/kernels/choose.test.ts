import { describe, expect, it } from "vitest";
import { chooseToken as reference } from "../../src/bench/reference/choose.js";
import { argmax } from "../../src/kernels/argmax.js";
import { type ChoiceState, chooseToken } from "../../src/kernels/choose-token.js";
import type { Device } from "../../src/runtime/device.js";
import { useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

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

describe("choosing a token", () => {
  for (const count of [1, 15, 16, 17, 127, 2047, 2048, 2049, 10007, 151936]) {
    it(`of ${count} repeatedly, with a penalty and a minimum of tokens before EOS`, async () => {
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

  it("divides to the nearest float: a token next to the quotient, before and behind, decides as on the host", async () => {
    const { device } = held;
    const next = random(3);
    const trials = Array.from({ length: 60 }, () => {
      const penalty = Math.fround(1 + next() * 2 ** (6 * next() - 3));
      const logit = Math.fround(next() * 2 ** Math.floor(20 * next() - 8));
      return { penalty, logit, step: Math.floor(next() * 3) - 1, behind: next() < 0.5 };
    });
    const rows = trials.map(({ penalty, logit, step, behind }) => {
      const near = new Float32Array([logit / penalty]);
      new Int32Array(near.buffer)[0]! += step;
      return behind ? [-1, logit, near[0]!] : [near[0]!, logit, -1];
    });
    const tokens = await tokensOf(device, () => {
      const states = rows.map((row, at) => {
        const state = stateOf(device, 3, [1], rows.length);
        const x = device.upload(Float32Array.from(row), [1, 3], "logits");
        return { state, x, at };
      });
      const { answer } = states[0]!.state;
      for (const { state, x, at } of states) {
        chooseToken(x, { ...state, answer }, { count: 3, at, penalties: repeated(trials[at]!.penalty) });
      }
      return states[0]!.state;
    });
    const truth = rows.map((row, i) =>
      reference(row, { count: 3, penalties: repeated(trials[i]!.penalty), seen: [1] }),
    );
    expect(tokens).toEqual(truth);
    expect(new Set(truth).size).toBe(3);
  });

  it("prefers numbers to NaN, treats zero and minus zero as equal, and accepts minus infinity as the last resort", async () => {
    const { device } = held;
    const { NaN: none, NEGATIVE_INFINITY: lowest, POSITIVE_INFINITY: highest } = Number;
    const rows = [
      [none, 1, none, 2],
      [none, -0, 0, -1],
      [-1, 0, -0, none],
      [none, lowest, lowest, none],
      [none, -3e38, lowest, none],
      [1, highest, 3e38, none],
      [none, none, none, none],
      [-1e-42, -2, -1e-40, none],
    ];
    for (const row of rows) {
      const best = device.scope(() => argmax(device.upload(Float32Array.from(row), [4], "x"), 4));
      const truth = reference(row, { count: 4 });
      expect((await best.read("u32"))[0], String(row)).toBe(truth === 4 ? NONE : truth);
      best.dispose();
    }
  });
});
