import { expect, test } from "vitest";
import { DividedKVCache, partOf } from "../../src/layers/divided-kv-cache.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { useDevice } from "../support/device.js";

const held = useDevice();
const other = useDevice({ f16: true });

function divided(): DividedKVCache {
  return new DividedKVCache(
    [
      { device: held.device, layers: 2 },
      { device: other.device, layers: 3 },
    ],
    16,
    "f16",
    1000,
  );
}

/** Bytes on the two devices. */
const bytes = (): number[] => [held.device.pool.liveBytes, other.device.pool.liveBytes];

test("each device has the keys and values of its layers, in one capacity", () => {
  const before = bytes();
  const cache = divided();
  cache.reserve(300);
  expect(cache.parts.map(({ keys, values, capacity, type }) => [keys.length, values.length, capacity, type])).toEqual([
    [2, 2, 320, "f16"],
    [3, 3, 320, "f16"],
  ]);
  expect(cache.parts[0]).toBe(cache);
  expect(cache.parts[1]!.keys[0]!.device).toBe(other.device);
  cache.shrink(256);
  expect(cache.parts.map(({ capacity }) => capacity)).toEqual([256, 256]);
  cache.dispose();
  expect(bytes()).toEqual(before);
});

test("rows are preserved on every device when it grows", async () => {
  const cache = divided();
  cache.reserve(1);
  for (const { keys } of cache.parts) {
    const last = keys.at(-1)!;
    last.device.write(last, Uint32Array.of(1, 2, 3));
  }
  cache.length = 1;
  cache.reserve(600);
  for (const { keys } of cache.parts) {
    expect([...(await keys.at(-1)!.read("u32")).subarray(0, 3)]).toEqual([1, 2, 3]);
  }
  cache.dispose();
});

test("a cache that is held keeps its memory on every device until it is released", () => {
  const before = bytes();
  const cache = divided();
  cache.reserve(8);
  const release = cache.hold();
  cache.dispose();
  expect([cache.length, cache.parts[1]!.capacity]).toEqual([0, 64]);
  release();
  expect(bytes()).toEqual(before);
});

test("a clone is empty and on the same devices; a device's part of a plain cache is the cache", () => {
  const cache = divided();
  cache.reserve(8);
  cache.length = 5;
  const clone = cache.clone();
  expect([clone.length, clone.capacity, clone.parts.map(({ device }) => device)]).toEqual([
    0,
    0,
    [held.device, other.device],
  ]);
  expect(partOf(cache, 1)).toBe(cache.parts[1]);
  const plain = new KVCache(held.device, 2, 16);
  expect(partOf(plain, 0)).toBe(plain);
  cache.dispose();
});
