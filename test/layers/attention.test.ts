import { expect, test } from "vitest";
import { attention as reference } from "../../src/bench/reference/attention.js";
import { matmul } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { rope } from "../../src/bench/reference/rope.js";
import { BidirectionalAttention, CausalAttention } from "../../src/layers/attention.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { RMSNorm } from "../../src/layers/norm.js";
import { Rotary } from "../../src/layers/rotary.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { columnsOf, randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();

/** Shapes of projections `[columns, inner]` with biases. */
function projections(sizes: Record<string, readonly [number, number]>): Record<string, readonly number[]> {
  return Object.fromEntries(
    Object.entries(sizes).flatMap(([name, [columns, inner]]) => [
      [`${name}.weight`, [columns, inner]],
      [`${name}.bias`, [columns]],
    ]),
  );
}

test("bidirectional: every patch attends to all of its own tile and to no other", async () => {
  const { device } = held;
  const [tiles, patches, heads, width] = [2, 9, 3, 24];
  const square = [width, width] as const;
  const shapes = projections({ q_proj: square, k_proj: square, v_proj: square, out_proj: square });
  const values = randomTensors(shapes);
  const [x, residual] = [normals(tiles * patches * width, 1), normals(tiles * patches * width, 2)];
  const rows = tiles * patches;
  const product = (from: ArrayLike<number>, name: string, around = {}) =>
    matmul(from, values[`${name}.weight`]!, rows, width, width, { bias: values[`${name}.bias`]!, ...around });
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new BidirectionalAttention(weights, width, heads),
    async (layer) => {
      const y = await result(device, () =>
        layer.forward(device.upload(x, [rows, width], "x"), tiles, device.upload(residual, [rows, width], "residual")),
      );
      const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) => product(x, name));
      const sizes = {
        batches: tiles,
        queries: patches,
        keys: patches,
        heads,
        keyValueHeads: heads,
        headSize: width / heads,
      };
      expectClose(y, product(reference(q!, k!, v!, sizes), "out_proj", { residual }), "kernel");
    },
  );
});

test("causal: positions in steps over the cache are those of one pass", async () => {
  const { device } = held;
  const sizes = { width: 24, heads: 4, keyValueHeads: 2, headSize: 8 };
  const { width, heads, keyValueHeads, headSize } = sizes;
  const [qWidth, kWidth, rows] = [heads * headSize, keyValueHeads * headSize, 7];
  const shapes: Record<string, readonly number[]> = {
    ...projections({ q_proj: [qWidth, width], k_proj: [kWidth, width], v_proj: [kWidth, width] }),
    "o_proj.weight": [width, qWidth],
    "norm.weight": [width],
  };
  const values = randomTensors(shapes);
  const x = normals(rows * width, 1);
  await withLayer(
    device,
    shapes,
    values,
    (weights) => ({
      layer: new CausalAttention(weights, sizes, new Rotary(device, headSize, 100, 32), 1),
      norm: new RMSNorm(weights.at("norm"), width, 1e-6),
    }),
    async ({ layer, norm }) => {
      const cache = new KVCache(device, 2, kWidth);
      const watched: [number, readonly number[]][] = [];
      cache.watcher = (at, q) => watched.push([at, q.shape]);
      cache.reserve(rows);
      const y: number[] = [];
      for (const [first, end] of [
        [0, 4],
        [4, 5],
        [5, 7],
      ] as const) {
        const part = x.slice(first * width, end * width);
        y.push(
          ...(await result(device, () => {
            const rows = end - first;
            return layer.forward(device.upload(part, [rows, width], "x"), norm, [{ cache, rows }]);
          })),
        );
        cache.length = end;
      }
      cache.dispose();
      expect(watched).toEqual([4, 1, 2].map((count) => [1, [count, qWidth]]));

      const stride = qWidth + 2 * kWidth;
      const joined = (kind: "weight" | "bias") =>
        ["q_proj", "k_proj", "v_proj"].flatMap((name) => [...values[`${name}.${kind}`]!]);
      const normed = rmsNorm(x, values["norm.weight"]!, 1e-6);
      const qkv = matmul(normed, joined("weight"), rows, width, stride, { bias: joined("bias") });
      const tables = [Math.cos, Math.sin].map((f) =>
        Float64Array.from({ length: rows * 4 }, (_, i) => f(Math.floor(i / 4) / 100 ** ((2 * (i % 4)) / headSize))),
      );
      const turned = rope(qkv, tables[0]!, tables[1]!, stride, qWidth + kWidth, headSize / 2, 0);
      const attended = reference(
        columnsOf(turned, stride, 0, qWidth),
        columnsOf(turned, stride, qWidth, kWidth),
        columnsOf(turned, stride, qWidth + kWidth, kWidth),
        { batches: 1, queries: rows, keys: rows, heads, keyValueHeads, headSize, causalFrom: 0 },
      );
      expectClose(y, matmul(attended, values["o_proj.weight"]!, rows, qWidth, width, { residual: x }), "kernel");
    },
  );
});
