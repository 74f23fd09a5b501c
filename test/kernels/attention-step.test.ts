import { describe, expect, it } from "vitest";
import type { AttentionShape } from "../../src/kernels/attention.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { causal, checkAttention } from "../support/attention.js";
import { useDevice } from "../support/device.js";

// Attention of one query on GPUs and on CPU adapters without subgroups, computed by the adapter of the tests.

const held = useDevice();

describe("all keys at once", () => {
  const ran = useFacts(held, ADAPTERS["CPU, no subgroups"]!);

  async function check(shape: AttentionShape, scale?: number): Promise<void> {
    await checkAttention(held.device, shape, scale);
    expect(ran).toEqual(["attentionStep"]);
  }

  it.each([64, 128].flatMap((size) => [0, 1, 31, 32, 97].map((cached) => [size, cached] as const)))(
    "head size %i after %i",
    (headSize, cached) => check(causal(1, cached, headSize)),
  );
  it("stays finite on large scores", () => check(causal(1, 39, 64), 12));
});

describe("KV splits in parallel (flash-decoding)", () => {
  const ran = useFacts(held, ADAPTERS["GPU, no subgroups"]!);

  async function check(shape: AttentionShape, scale?: number): Promise<void> {
    await checkAttention(held.device, shape, scale);
    // A split has 64 keys at least.
    expect(ran).toEqual(shape.keys > 64 ? ["attentionStep", "attentionMerge"] : ["attentionStep"]);
  }

  it.each([
    [1, 8],
    [32, 8],
    [33, 2],
    [257, 8],
    [1021, 3],
    [2048, 16],
    [8192, 32],
    [8191, 32],
  ])("%i keys in %i", (keys, kvSplits) => check({ ...causal(1, keys - 1, 64), kvSplits }));

  it("head size 128, fewer keys attended to than there are", () => {
    const sizes = { batches: 1, queries: 1, keys: 300, heads: 14, keyValueHeads: 2, headSize: 128 };
    return check({ ...sizes, causalFrom: 70, kvSplits: 9 });
  });

  it("stays finite on large scores", () => check({ ...causal(1, 199, 64), kvSplits: 4 }, 12));
});
