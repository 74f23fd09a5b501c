import { describe, expect, it } from "vitest";
import { attention as reference } from "../../src/bench/reference/attention.js";
import { type AttentionShape, attention } from "../../src/kernels/attention.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { expectClose } from "../support/compare.js";
import { FEATURES, result, useDevice } from "../support/device.js";
import { kernelsOf } from "../support/products.js";
import { normals } from "../support/random.js";

/** The kernels of a shape on an adapter. */
function kernelsFor(
  { queries, batches, keys, kvSplits = 1 }: AttentionShape,
  { broadcastLanes, onCPU }: AdapterFacts,
): string[] {
  if (broadcastLanes) return ["attentionBroadcast"];
  if (queries > 1 || batches > 1) return ["attention"];
  if (!onCPU) return ["attentionStep"];
  // A split has 32 keys at least.
  return kvSplits > 1 && keys > 32 ? ["attentionStep", "attentionMerge"] : ["attentionStep"];
}

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  async function check(shape: AttentionShape, scale = 1): Promise<void> {
    const { device } = held;
    const { batches, queries, keys, heads, keyValueHeads, headSize } = shape;
    const q = normals(batches * queries * heads * headSize, 1, scale);
    const k = normals(batches * keys * keyValueHeads * headSize, 2, scale);
    const v = normals(batches * keys * keyValueHeads * headSize, 3);
    let y: ArrayLike<number> = [];
    const ran = await kernelsOf(device, async () => {
      y = await result(device, () => {
        const [qt, kt, vt] = [
          device.upload(q, [batches * queries, heads * headSize], "q"),
          device.upload(k, [batches * keys, keyValueHeads * headSize], "k"),
          device.upload(v, [batches * keys, keyValueHeads * headSize], "v"),
        ];
        return attention({ tensor: qt, first: 0 }, { tensor: kt, first: 0 }, { tensor: vt, first: 0 }, shape, "y");
      });
    });
    expect(ran).toEqual(expect.arrayContaining(kernelsFor(shape, device.facts)));
    const { causalFrom, kvSplits: _, ...sizes } = shape;
    expectClose(
      y,
      reference(q, k, v, { ...sizes, ...(causalFrom !== undefined && { causalFrom }) }),
      scale > 1 ? "steep" : "kernel",
    );
  }

  describe("bidirectional attention, head size 72", () => {
    for (const patches of [1, 7, 8, 9, 31, 33, 81, 97]) {
      it(`${patches} patches of 2 tiles`, () =>
        check({ batches: 2, queries: patches, keys: patches, heads: 2, keyValueHeads: 2, headSize: 72 }));
    }
    it("729 patches", () => check({ batches: 1, queries: 729, keys: 729, heads: 1, keyValueHeads: 1, headSize: 72 }));
  });

  describe("causal grouped-query attention", () => {
    for (const headSize of [64, 128]) {
      for (const [queries, cached] of [
        [1, 0],
        [1, 1],
        [1, 31],
        [1, 32],
        [1, 97],
        [5, 0],
        [32, 0],
        [33, 5],
        [61, 64],
      ] as const) {
        it(`head size ${headSize}, ${queries} queries after ${cached}`, () =>
          check({
            batches: 1,
            queries,
            keys: cached + queries,
            heads: 14,
            keyValueHeads: 2,
            headSize,
            causalFrom: cached,
          }));
      }
    }
    it("stays finite on large scores", () =>
      check({ batches: 1, queries: 40, keys: 40, heads: 2, keyValueHeads: 1, headSize: 64, causalFrom: 0 }, 12));
    it("stays finite on large scores for one query", () =>
      check({ batches: 1, queries: 1, keys: 40, heads: 2, keyValueHeads: 1, headSize: 64, causalFrom: 39 }, 12));
  });

  // Broadcasting adapters have enough to do with the heads; there the number of KV splits changes nothing.
  describe("one query, keys in KV splits", () => {
    for (const [keys, kvSplits] of [
      [1, 8],
      [32, 8],
      [33, 2],
      [257, 8],
      [1021, 3],
      [2048, 16],
      [8192, 32],
      [8191, 32],
    ] as const) {
      it(`${keys} keys in ${kvSplits}`, () =>
        check({
          batches: 1,
          queries: 1,
          keys,
          heads: 14,
          keyValueHeads: 2,
          headSize: 64,
          causalFrom: keys - 1,
          kvSplits,
        }));
    }
    it("head size 128, of which fewer are seen than there are", () =>
      check({
        batches: 1,
        queries: 1,
        keys: 300,
        heads: 4,
        keyValueHeads: 2,
        headSize: 128,
        causalFrom: 70,
        kvSplits: 9,
      }));
    it("large scores", () =>
      check({ batches: 1, queries: 1, keys: 200, heads: 2, keyValueHeads: 1, headSize: 64, kvSplits: 4 }, 12));
  });

  describe("heads inside a fused tensor", () => {
    it("reads q, k and v from columns of one tensor", async () => {
      const { device } = held;
      const [rows, heads, size] = [19, 2, 72];
      const width = heads * size;
      const fused = normals(rows * 3 * width, 7);
      const part = (i: number) =>
        Float32Array.from(
          { length: rows * width },
          (_, at) => fused[Math.floor(at / width) * 3 * width + i * width + (at % width)]!,
        );
      const shape = { batches: 1, queries: rows, keys: rows, heads, keyValueHeads: heads, headSize: size };
      const y = await result(device, () => {
        const tensor = device.upload(fused, [rows, 3 * width], "qkv");
        return attention({ tensor, first: 0 }, { tensor, first: width }, { tensor, first: 2 * width }, shape, "y");
      });
      expectClose(y, reference(part(0), part(1), part(2), shape), "kernel");
    });
  });
});

describe("one device", () => {
  const held = useDevice();
  const sizes = { batches: 1, queries: 2, keys: 2, heads: 2, keyValueHeads: 2, headSize: 8 };

  it.each<[string, Partial<AttentionShape>, RegExp]>([
    [
      "a head size that is no multiple of 4",
      { headSize: 6 },
      /answer: expected a head size .* got head size 6, 2 heads over 2/,
    ],
    ["heads that do not share evenly", { heads: 3 }, /answer: expected a head size .* got head size 8, 3 heads over 2/],
  ])("refuses %s", (_, some, message) => {
    const { device } = held;
    device.scope(() => {
      const x = { tensor: device.empty([2, 24], "f32", "x"), first: 0 };
      expect(() => attention(x, x, x, { ...sizes, ...some }, "answer")).toThrow(message);
    });
  });

  it("refuses keys in a type that no cache has", () => {
    const { device } = held;
    device.scope(() => {
      const x = { tensor: device.empty([2, 16], "f32", "x"), first: 0 };
      const k = { tensor: device.empty([2, 16], "u32", "k"), first: 0 };
      expect(() => attention(x, k, x, sizes, "answer")).toThrow(
        /answer, tensor k: expected keys and values as f32, f16, q8, got u32/,
      );
    });
  });
});
