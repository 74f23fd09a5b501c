import { describe, expect, test, vi } from "vitest";
import { LimitError } from "../../src/base/errors.js";
import { storedRows } from "../../src/bench/reference/kv-format.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { expectSame } from "../support/compare.js";
import { useDevice } from "../support/device.js";

const held = useDevice();
const [LAYERS, WIDTH] = [3, 64];

/** Fills the rows of every tensor with bytes that tell tensor and place; valid in every type. */
function fill(cache: KVCache): void {
  cache.length = 200;
  [...cache.keys, ...cache.values].forEach((tensor, t) => {
    const bytes = Uint8Array.from({ length: tensor.sizeBytes }, (_, i) => (i % 4 === 3 ? 60 : (i * 7 + t) % 61));
    cache.device.write(tensor, bytes);
  });
}

const rowsOf = (cache: KVCache) =>
  Promise.all(
    [...cache.keys, ...cache.values].map(async (tensor) =>
      storedRows(await cache.device.read(tensor), cache.type, tensor.size(0), tensor.size(1)).slice(0, 200 * WIDTH),
    ),
  );

const expectRows = (got: Float32Array[], truth: Float32Array[]): void => {
  expect(got.length).toBe(truth.length);
  for (const [i, rows] of truth.entries()) expectSame(got[i]!, rows, `tensor ${i}`);
};

describe.each(["f32", "f16", "q8"] as const)("a cache in %s", (type) => {
  test("keeps its rows when it grows, and grows by half", async () => {
    const { device } = held;
    const cache = new KVCache(device, LAYERS, WIDTH, type);
    cache.reserve(200);
    expect(cache.capacity).toBe(256);
    fill(cache);
    const before = await rowsOf(cache);
    expect(before.every((rows) => rows.some((value) => value !== 0))).toBe(true);
    const capacities: number[] = [];
    for (const positions of [256, 257, 600, 769, 5000]) {
      cache.reserve(positions);
      capacities.push(cache.pool.rows);
      expectRows(await rowsOf(cache), before);
    }
    expect(capacities).toEqual([256, 512, 768, 1280, 5120]);
    expect(device.pool.liveBlocks).toBe(2 * LAYERS);
    cache.dispose();
    expect(device.pool.liveBytes).toBe(0);
  });

  test("is as it was when there is no room to grow, and grows when there is", async () => {
    const { device } = held;
    const cache = new KVCache(device, LAYERS, WIDTH, type);
    cache.reserve(200);
    fill(cache);
    const before = await rowsOf(cache);
    const make = device.empty.bind(device);
    for (const allowed of [0, 1, 4]) {
      let made = 0;
      const empty = vi.spyOn(device, "empty").mockImplementation((...given) => {
        if (made++ === allowed) throw new LimitError({ where: "", expected: "room", got: "none", remedy: "" });
        return make(...given);
      });
      expect(() => cache.reserve(1000)).toThrow(LimitError);
      empty.mockRestore();
      expect([cache.capacity, cache.length]).toEqual([256, 200]);
      expectRows(await rowsOf(cache), before);
    }
    cache.reserve(1000);
    expect([cache.capacity, cache.pool.rows]).toEqual([1024, 1024]);
    expectRows(await rowsOf(cache), before);
    expect(device.pool.liveBlocks).toBe(2 * LAYERS);
    cache.dispose();
    expect(device.pool.liveBytes).toBe(0);
  });
});

test("a cache does not grow beyond its maximum", () => {
  const cache = new KVCache(held.device, 1, WIDTH, "f32", 1000);
  for (const positions of [600, 800, 1000]) cache.reserve(positions);
  expect([cache.capacity, cache.pool.rows]).toEqual([1024, 1024]);
  cache.dispose();
});

test("a binding's limit keeps a cache from growing more than it must", () => {
  const { device } = held;
  const { maxBindingBytes } = device.facts;
  const cache = new KVCache(device, 1, Math.floor(maxBindingBytes / (600 * 4) / 4) * 4);
  cache.reserve(10);
  cache.reserve(500);
  expect([cache.capacity, cache.pool.rows]).toEqual([512, 512]);
  expect(() => cache.reserve(700)).toThrow(LimitError);
  expect(cache.capacity).toBe(512);
  cache.dispose();
});

test("a cache that a pass holds discards rows at once, and frees memory when the pass ends", () => {
  const { device } = held;
  const cache = new KVCache(device, 2, 32);
  cache.reserve(600);
  cache.length = 500;
  const bytes = device.pool.liveBytes;
  const [first, second] = [cache.hold(), cache.hold()];
  cache.shrink(256);
  expect([cache.length, cache.capacity, device.pool.liveBytes]).toEqual([256, 640, bytes]);
  first();
  first();
  expect(cache.capacity).toBe(640);
  second();
  expect(cache.capacity).toBe(256);
  const third = cache.hold();
  cache.dispose();
  expect([cache.length, cache.capacity]).toEqual([0, 256]);
  // What is reserved meanwhile is kept.
  cache.reserve(100);
  third();
  expect(cache.capacity).toBe(256);
  const fourth = cache.hold();
  cache.dispose();
  fourth();
  expect(device.pool.liveBytes).toBe(0);
});
