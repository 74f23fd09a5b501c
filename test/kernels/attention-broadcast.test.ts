import { describe, expect, it } from "vitest";
import type { AttentionShape } from "../../src/kernels/attention.js";
import { useFacts } from "../support/adapters.js";
import { causal, checkAttention, ofPatches } from "../support/attention.js";
import { useDevice } from "../support/device.js";

// Attention on CPU adapters with subgroups, of as many lanes as this adapter's: 4 on SwiftShader, 8 on lavapipe.

const held = useDevice();
const ran = useFacts(held, {});

async function check(shape: AttentionShape, scale?: number): Promise<void> {
  await checkAttention(held.device, shape, scale);
  expect(ran).toEqual(["attentionBroadcast"]);
}

describe("bidirectional attention, head size 72", () => {
  it.each([1, 7, 8, 9, 31, 33, 81, 97])("%i patches of 2 tiles", (patches) => check(ofPatches(patches, 2)));
  it("729 patches", () => check(ofPatches(729, 1, 1)));
});

describe.each([64, 128])("causal grouped-query attention, head size %i", (headSize) => {
  it.each([
    [1, 0],
    [1, 1],
    [1, 31],
    [1, 32],
    [1, 97],
    [5, 0],
    [32, 0],
    [33, 5],
    [61, 64],
  ])("%i queries after %i", (queries, cached) => check(causal(queries, cached, headSize)));
});

it.each([40, 1])("stays finite on large scores of %i queries", (queries) =>
  check({ batches: 1, queries, keys: 40, heads: 2, keyValueHeads: 1, headSize: 64, causalFrom: 40 - queries }, 12),
);

it("one query over a long cache", () => check(causal(1, 8190, 64)));
