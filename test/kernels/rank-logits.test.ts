import { expect, it } from "vitest";
import { oneChoice, PLAIN_CHOICE } from "../../src/kernels/choice-rows.js";
import { type Penalties, rankLogits } from "../../src/kernels/rank-logits.js";
import { useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

const held = useDevice();
const NO_PENALTIES: Penalties = { repetition: 1, presence: 0, frequency: 0 };

/** The rank of a float: its order among all floats, with both zeros equal and NaN below all. */
function rankOf(value: number): number {
  if (Number.isNaN(value)) return 0;
  const [size] = new Uint32Array(Float32Array.of(Math.abs(value)).buffer);
  return value < 0 ? 0x80000000 - size! : 0x80000000 + size!;
}

interface Rules {
  readonly temperature?: number;
  readonly penalties?: Penalties;
  readonly counts?: readonly number[];
  readonly bias?: readonly number[];
  readonly banned?: readonly number[];
}

async function ranksOf(
  logits: Float32Array,
  { temperature = 1, penalties = NO_PENALTIES, counts, bias, banned }: Rules,
): Promise<number[]> {
  const { device } = held;
  const words = new Uint32Array(Math.ceil(logits.length / 32)).fill(0xffffffff);
  for (const token of banned ?? []) words[token >>> 5]! &= ~(1 << (token & 31));
  const rows = oneChoice({ ...PLAIN_CHOICE, ...penalties, inverseTemperature: 1 / temperature });
  const ranks = device.scope(() =>
    rankLogits(device.upload(logits, [1, logits.length], "logits"), logits.length, rows, {
      counts: counts && device.upload(Uint32Array.from(counts), [counts.length], "counts"),
      bias: bias && device.upload(Float32Array.from(bias), [bias.length], "bias"),
      mask: banned && device.upload(words, [words.length], "mask"),
    }),
  );
  const values = [...(await ranks.read("u32"))];
  ranks.dispose();
  return values;
}

it("orders all floats, with both zeros equal and NaN below minus infinity", async () => {
  const { NaN: none, NEGATIVE_INFINITY: lowest, POSITIVE_INFINITY: highest } = Number;
  const logits = Float32Array.of(none, lowest, -3e38, -2, -1, -0, 0, 1e-30, 1, 3e38, highest);
  const ranks = await ranksOf(logits, {});
  expect(ranks).toEqual(Array.from(logits, rankOf));
  expect(ranks[0]).toBe(0);
  expect(ranks.slice(0, 5)).toEqual(ranks.slice(0, 5).sort((a, b) => a - b));
});

it("divides by the temperature, and ranks only the tokens that may be chosen", async () => {
  const logits = normals(131, 1, 3);
  const banned = [0, 31, 32, 64, 130];
  const ranks = await ranksOf(logits, { temperature: 0.5, banned });
  expect(ranks).toEqual(Array.from(logits, (e, i) => (banned.includes(i) ? 0 : rankOf(2 * e))));
});

it("penalises the tokens of the answer, by presence once and by frequency each time", async () => {
  const logits = Float32Array.of(4, 4, 4, -4, -4, 0);
  const penalties = { repetition: 2, presence: 0.5, frequency: 0.25 };
  const ranks = await ranksOf(logits, { penalties, counts: [0, 1, 3, 0, 2, 1] });
  expect(ranks).toEqual([4, 2 - 0.75, 2 - 1.25, -4, -8 - 1, -0.75].map(rankOf));
});

it("adds the bias before penalties and temperature", async () => {
  const penalties = { repetition: 2, presence: 0, frequency: 0 };
  const bias = [1, -100, 3, 0, 100, 2.5];
  const rules = { temperature: 0.5, penalties, bias, counts: [0, 0, 1, 0, 0, 1], banned: [4] };
  const ranks = await ranksOf(Float32Array.of(4, 4, 1, -2, 0, -4.5), rules);
  expect(ranks).toEqual([...[10, -192, 4, -4].map(rankOf), 0, rankOf(-8)]);
});

it("divides to the nearest float, as the host does", async () => {
  const next = random(3);
  for (let trial = 0; trial < 20; trial++) {
    const repetition = Math.fround(1 + next() * 2 ** (6 * next() - 3));
    const logits = Float32Array.from({ length: 64 }, () => next() * 2 ** Math.floor(20 * next() - 8));
    const ranks = await ranksOf(logits, {
      penalties: { ...NO_PENALTIES, repetition },
      counts: new Array<number>(64).fill(1),
    });
    expect(ranks, `penalty ${repetition}`).toEqual(Array.from(logits, (e) => rankOf(Math.fround(e / repetition))));
  }
});
