import { expect, test } from "vitest";
import { LowRankAdapter, type LowRankPair } from "../../../src/layers/low-rank.js";
import { MergedTensors } from "../../../src/models/llava-onevision/merged-tensors.js";
import { floatTensor, indexOf } from "../../support/layers.js";
import { normals } from "../../support/random.js";

const weight = normals(6 * 8, 1);
const [a, b] = [normals(2 * 8, 2), normals(6 * 2, 3)];
const PAIR: LowRankPair = { a, b, rank: 2, inner: 8, columns: 6, scale: 0.5 };

async function merged() {
  const base = await indexOf([floatTensor("fc.weight", [6, 8], weight), floatTensor("norm", [4], normals(4, 4))]);
  const own = await indexOf([floatTensor("saved", [4], new Float32Array(4).fill(7))]);
  const adapter = {
    lowRank: new LowRankAdapter("a", new Map()),
    merged: new Map([["fc", PAIR]]),
    replaced: new Map([["norm", own.entries.get("saved")!]]),
    index: own,
  };
  return new MergedTensors(base, [adapter]);
}

test("a range of a merged matrix is W + scale·B·A, wherever it begins", async () => {
  const index = await merged();
  const tensor = index.entries.get("fc.weight")!;
  const wanted = Float32Array.from(weight, (w, i) => {
    const [row, k] = [Math.floor(i / 8), i % 8];
    return w + 0.5 * (b[row * 2]! * a[k]! + b[row * 2 + 1]! * a[8 + k]!);
  });
  for (const [first, count] of [
    [0, 48],
    [5, 20],
    [40, 8],
  ] as const) {
    const bytes = await index.read(tensor, first * 4, count * 4);
    const values = new Float32Array(new Uint8Array(bytes).buffer);
    expect(values.length).toBe(count);
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(wanted[first + i]!, 5);
  }
  await index.close();
});

test("a tensor that the adapter brings takes the place of the checkpoint's", async () => {
  const index = await merged();
  const bytes = await index.read(index.entries.get("norm")!, 0, 16);
  expect([...new Float32Array(new Uint8Array(bytes).buffer)]).toEqual([7, 7, 7, 7]);
  expect(index.shapes.get("fc.weight")).toEqual([6, 8]);
  await index.close();
});
