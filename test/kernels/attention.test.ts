import { describe, expect, it } from "vitest";
import { attention as reference } from "../../src/bench/reference/attention.js";
import { type AttentionShape, attention } from "../../src/kernels/attention.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { causal, checkAttention, ofPatches } from "../support/attention.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// Attention of many queries on GPUs, computed by the adapter of the tests, and what is the same for all its kernels.

const held = useDevice();

describe("many queries", () => {
  const ran = useFacts(held, ADAPTERS["GPU, no subgroups"]!);

  async function check(shape: AttentionShape, scale?: number): Promise<void> {
    await checkAttention(held.device, shape, scale);
    expect(ran).toEqual(["attention"]);
  }

  it.each([1, 7, 8, 9, 31, 33, 81, 97])("%i patches of 2 tiles, both directions", (patches) =>
    check(ofPatches(patches, 2)),
  );
  it("729 patches", () => check(ofPatches(729, 1, 1)));
  it.each(
    [64, 128].flatMap((size) => [
      [size, 5, 0] as const,
      [size, 32, 0] as const,
      [size, 33, 5] as const,
      [size, 61, 64] as const,
    ]),
  )("causal, head size %i, %i queries after %i", (headSize, queries, cached) =>
    check(causal(queries, cached, headSize)),
  );
  it("stays finite on large scores", () =>
    check({ batches: 1, queries: 40, keys: 40, heads: 2, keyValueHeads: 1, headSize: 64, causalFrom: 0 }, 12));
});

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
  const shape = ofPatches(rows, 1, heads);
  const y = await result(device, () => {
    const tensor = device.upload(fused, [rows, 3 * width], "qkv");
    return attention({ tensor, first: 0 }, { tensor, first: width }, { tensor, first: 2 * width }, shape, "y");
  });
  expectClose(y, reference(part(0), part(1), part(2), shape), "kernel");
});

describe("refuses", () => {
  const sizes = { batches: 1, queries: 2, keys: 2, heads: 2, keyValueHeads: 2, headSize: 8 };

  it.each<[string, Partial<AttentionShape>, RegExp]>([
    [
      "a head size that is no multiple of 4",
      { headSize: 6 },
      /answer: expected a head size .* got head size 6, 2 heads over 2/,
    ],
    ["heads that do not share evenly", { heads: 3 }, /answer: expected a head size .* got head size 8, 3 heads over 2/],
  ])("%s", (_, some, message) => {
    const { device } = held;
    device.scope(() => {
      const x = { tensor: device.empty([2, 24], "f32", "x"), first: 0 };
      expect(() => attention(x, x, x, { ...sizes, ...some }, "answer")).toThrow(message);
    });
  });

  it("keys in a type that no cache has", () => {
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
