import { describe, expect, test } from "vitest";
import { attention as attentionReference } from "../../src/bench/reference/attention.js";
import { rope as ropeReference } from "../../src/bench/reference/rope.js";
import { type CacheType, paddedRow } from "../../src/kernels/kv-format.js";
import { rope } from "../../src/kernels/rope.js";
import { type HeadSizes, rotatedAttention } from "../../src/kernels/rotated-attention.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { columnsOf } from "../support/layers.js";
import { normals } from "../support/random.js";

// A step in one dispatch, as GPUs take it, against RoPE, the cache write and attention one after the other, and against the float64 loops.

const held = useDevice();
const ran = useFacts(held, ADAPTERS["GPU, no subgroups"]!);

interface Run {
  readonly y: Float32Array;
  readonly keys: ArrayBuffer;
  readonly values: ArrayBuffer;
  /** The kernels of the last row. */
  readonly kernels: readonly string[];
}

/** Attends with one new row at position `first`; with `watch` the three operations are dispatches of their own. */
async function run(x: Float32Array, first: number, sizes: HeadSizes, type: CacheType, watch: boolean): Promise<Run> {
  const { device } = held;
  const { heads, keyValueHeads, headSize } = sizes;
  const [half, keyWidth] = [headSize / 2, keyValueHeads * headSize];
  const width = heads * headSize + 2 * keyWidth;
  const angles = normals((first + 1) * half, 5, 3);
  let before = 0;
  const tensors = device.scope(() => {
    const upload = (numbers: Float32Array, rows: number, label: string): Tensor =>
      device.upload(numbers, [rows, numbers.length / rows], label);
    const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)].map((t) => upload(t, first + 1, "table"));
    const [keys, values] = [0, 1].map(() => device.empty([first + 3, paddedRow(keyWidth, type)], type, "cache"));
    const tables = { cosines: cosines!, sines: sines!, keys: keys!, values: values! };
    // What is attended to of the rows before is what they leave in the cache.
    if (first > 0)
      rope(upload(x.slice(0, first * width), first, "before"), cosines!, sines!, keys!, values!, 0, keyWidth);
    before = ran.length;
    const last = upload(x.slice(first * width), 1, "x");
    return [rotatedAttention(last, tables, first, sizes, { watch: watch ? () => {} : undefined }), keys!, values!];
  });
  const [y, keys, values] = await Promise.all(tensors.map((tensor) => device.read(tensor)));
  for (const tensor of tensors) tensor.dispose();
  return { y: new Float32Array(y!), keys: keys!, values: values!, kernels: ran.slice(before) };
}

const MODEL: HeadSizes = { heads: 14, keyValueHeads: 2, headSize: 64 };

describe.each(["f32", "f16", "q8"] as const)("cache in %s", (type) => {
  test.each([
    [MODEL, 0],
    [MODEL, 63],
    [MODEL, 300],
    [{ heads: 4, keyValueHeads: 2, headSize: 128 }, 130],
  ] as const)("%j after %i rows", async (sizes, first) => {
    const { heads, keyValueHeads, headSize } = sizes;
    const [qWidth, kWidth] = [heads * headSize, keyValueHeads * headSize];
    const width = qWidth + 2 * kWidth;
    const x = normals((first + 1) * width, 1);
    const fused = await run(x, first, sizes, type, false);
    expect(fused.kernels).toEqual(first < 128 ? ["attentionStep"] : ["attentionStep", "attentionMerge"]);
    const apart = await run(x, first, sizes, type, true);
    expect(apart.kernels[0]).toBe("rope");
    expect(new Uint8Array(fused.keys)).toEqual(new Uint8Array(apart.keys));
    expect(new Uint8Array(fused.values)).toEqual(new Uint8Array(apart.values));
    expectClose(fused.y, Float64Array.from(apart.y), "kernel");
    if (type !== "f32") return;
    const angles = normals((first + 1) * (headSize / 2), 5, 3);
    const turned = ropeReference(
      x,
      angles.map(Math.cos),
      angles.map(Math.sin),
      width,
      qWidth + kWidth,
      headSize / 2,
      0,
    );
    const truth = attentionReference(
      columnsOf(turned.slice(first * width), width, 0, qWidth),
      columnsOf(turned, width, qWidth, kWidth),
      columnsOf(turned, width, qWidth + kWidth, kWidth),
      { batches: 1, queries: 1, keys: first + 1, ...sizes },
    );
    expectClose(fused.y, truth, "kernel");
  });
});

test("heads that share scales in q8 are rotated first", async () => {
  const sizes = { heads: 4, keyValueHeads: 2, headSize: 16 };
  expect((await run(normals(3 * 128, 1), 2, sizes, "q8", false)).kernels).toEqual(["rope", "attentionStep"]);
  expect((await run(normals(3 * 128, 1), 2, sizes, "f16", false)).kernels).toEqual(["attentionStep"]);
});
