import { afterEach, describe, expect, test } from "vitest";
import { type AttentionShape, attention } from "../../src/kernels/attention.js";
import { WorkBudget } from "../../src/runtime/work-budget.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { causal, ofPatches } from "../support/attention.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// Attention in several dispatches: the same numbers, and as few pieces as fit.

const held = useDevice();
const ran = useFacts(held, ADAPTERS["GPU, no subgroups"]!);
const { rates } = new WorkBudget(true, async () => {});
afterEach(() => {
  held.device.budget.rates = rates;
});

/** Attention over columns of one tensor, with `flops` operations a millisecond. */
function attend(shape: AttentionShape, flops: number): Promise<Float32Array> {
  const { device } = held;
  const { batches, queries, keys, heads, keyValueHeads, headSize } = shape;
  const [own, shared] = [heads * headSize, keyValueHeads * headSize];
  device.budget.rates = { flops, bytes: 1e12 };
  return result(device, () => {
    const q = device.upload(normals(batches * queries * (own + 4), 1), [batches * queries, own + 4], "q");
    const kv = device.upload(normals(batches * keys * 2 * shared, 2), [batches * keys, 2 * shared], "kv");
    const [k, v] = [
      { tensor: kv, first: 0 },
      { tensor: kv, first: shared },
    ];
    return attention({ tensor: q, first: 4 }, k, v, shape, "y");
  });
}

/** FLOPs as attention counts them, over 100 ms. */
const MS = 4 * 4 * 0.01;

describe.each<[string, AttentionShape, readonly [flops: number, pieces: number][]]>([
  [
    "sequences, queries and heads of patches",
    { ...ofPatches(128, 5, 8), headSize: 8 },
    [
      [5 * 128 * 128 * 64, 1],
      [2 * 128 * 128 * 64, 3],
      [128 * 128 * 64, 5],
      [64 * 128 * 64, 10],
      [32 * 128 * 64, 10],
    ],
  ],
  ["sequences whose rows are not aligned stay together", { ...ofPatches(9, 4, 2), headSize: 8 }, [[1, 1]]],
  [
    "queries, then groups of heads, then heads of one group",
    causal(150, 20, 64),
    [
      [170 * 150 * 14 * 64, 1],
      [95 * 150 * 14 * 64, 3],
      [170 * 64 * 14 * 64, 3],
      [170 * 64 * 7 * 64, 6],
      [170 * 64 * 2 * 64, 42],
      [1, 42],
    ],
  ],
])("%s", (_, shape, cases) => {
  test.each(cases)("at %d products per submission: %d dispatches, the same numbers", async (products, pieces) => {
    const whole = await attend(shape, 1e15);
    expect(ran).toEqual(["attention"]);
    const cut = await attend(shape, products * MS);
    expect(ran.length - 1).toBe(pieces);
    expect(new Uint32Array(cut.buffer)).toEqual(new Uint32Array(whole.buffer));
  });
});
