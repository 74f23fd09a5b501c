import { expect, test } from "vitest";
import { KVCache } from "../../src/layers/kv-cache.js";
import { Rotary } from "../../src/layers/rotary.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { expectClose } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { columnsOf } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();

test("tables hold cosines and sines of position times frequency, in float32 as the reference computes them", async () => {
  const { device } = held;
  const [headSize, theta, positions] = [16, 1e6, 3000];
  const arena = device.arena("rotary");
  const { cosines, sines } = arena.run(() => new Rotary(device, headSize, theta, positions));
  expect([cosines.shape, sines.shape]).toEqual([
    [positions, headSize / 2],
    [positions, headSize / 2],
  ]);
  const [cos, sin] = [await cosines.read(), await sines.read()];
  for (const p of [0, 1, 17, 2999]) {
    for (let m = 0; m < headSize / 2; m++) {
      const angle = p / theta ** ((2 * m) / headSize);
      // A float32 angle is off by half of its last place at most, and the frequency in it by another.
      const off = angle * 2 ** -22 + 2 ** -23;
      expect(Math.abs(cos[p * 8 + m]! - Math.cos(angle))).toBeLessThanOrEqual(off);
      expect(Math.abs(sin[p * 8 + m]! - Math.sin(angle))).toBeLessThanOrEqual(off);
    }
  }
  // The angle 2999 · f1 itself is rounded to float32.
  const rounded = Math.fround(2999 * Math.fround(1 / Math.fround(theta ** Math.fround(1 / 8))));
  expect(cos[2999 * 8 + 1]).toBe(Math.fround(Math.cos(rounded)));
  arena.dispose();
});

test("queries and keys are turned by their position behind the cache, and the cache of the layer is filled", async () => {
  const { device } = held;
  const [rows, heads, keyValueHeads, headSize] = [3, 3, 1, 8];
  const [qWidth, kWidth] = [heads * headSize, keyValueHeads * headSize];
  const width = qWidth + 2 * kWidth;
  const x = normals(rows * width, 1);
  const arena = device.arena("rotary");
  const rotary = arena.run(() => new Rotary(device, headSize, 100, 64));
  const cache = new KVCache(device, 2, kWidth);
  cache.reserve(16);
  cache.length = 9;
  for (const tensor of [...cache.keys, ...cache.values]) device.write(tensor, new Float32Array(tensor.length).fill(7));
  const q = device.scope(() => {
    const watched: Tensor[] = [];
    cache.watcher = (layer, queries) => {
      expect(layer).toBe(1);
      watched.push(queries);
    };
    rotary.attend(device.upload(x, [rows, width], "x"), [{ cache, rows }], 1, { heads, keyValueHeads, headSize });
    return watched[0]!;
  });
  /** Pairs of a head's columns half a head apart, turned in float64. */
  const turned = (part: Float64Array): Float64Array =>
    part.map((value, i) => {
      const [row, column] = [Math.floor(i / (part.length / rows)), i % headSize];
      const angle = (9 + row) / 100 ** ((2 * (column % 4)) / headSize);
      const other = part[column < 4 ? i + 4 : i - 4]!;
      return value * Math.cos(angle) + (column < 4 ? -other : other) * Math.sin(angle);
    });
  expectClose(await q.read(), turned(columnsOf(x, width, 0, qWidth)), "kernel", "queries");
  const filled = async (tensor: (typeof cache.keys)[number]) => (await tensor.read()).slice(0, 16 * kWidth);
  const [keys, values] = [await filled(cache.keys[1]!), await filled(cache.values[1]!)];
  const place = [9 * kWidth, (9 + rows) * kWidth] as const;
  expectClose(keys.slice(...place), turned(columnsOf(x, width, qWidth, kWidth)), "kernel", "keys");
  expectClose(values.slice(...place), columnsOf(x, width, qWidth + kWidth, kWidth), "exact", "values");
  for (const rest of [keys, values]) rest.fill(7, ...place);
  for (const rows of [keys, values, await filled(cache.keys[0]!), await filled(cache.values[0]!)]) {
    expect(new Set(rows)).toEqual(new Set([7]));
  }
  for (const owner of [q, cache, arena]) owner.dispose();
});
