import { expect, test } from "vitest";
import { VisionCache } from "../../../src/models/llava-onevision/vision-cache.js";
import { useDevice } from "../../support/device.js";

const held = useDevice();
/** Visual tokens of 400 bytes, as a pass that computed them gives them away. */
const tensor = (elements = 100) => held.device.scope(() => held.device.empty([elements], "f32", "visual tokens"));
const known = (cache: VisionCache, keys: string) =>
  [...keys].filter((key) => {
    const found = cache.take(key);
    cache.release(key);
    return found;
  });

test("the least recently used are evicted where there is no room", () => {
  const cache = new VisionCache(held.device, 1200);
  for (const key of "abc") cache.keep(key, tensor());
  expect(cache.bytes).toBe(1200);
  expect(known(cache, "a")).toEqual(["a"]);
  cache.keep("d", tensor());
  expect(cache.bytes).toBe(1200);
  expect(known(cache, "abcd")).toEqual(["a", "c", "d"]);
  cache.dispose();
  expect([cache.bytes, held.device.pool.liveBytes]).toEqual([0, 0]);
});

test("those in use stay until they are released", () => {
  const cache = new VisionCache(held.device, 800);
  cache.keep("a", tensor());
  const taken = cache.take("a");
  cache.keep("b", tensor());
  cache.keep("c", tensor());
  expect([cache.take("a"), known(cache, "bc")]).toEqual([taken, ["c"]]);
  cache.clear();
  expect(cache.bytes).toBe(400);
  cache.release("a");
  cache.clear();
  // Taken twice.
  expect(cache.bytes).toBe(400);
  cache.release("a");
  cache.clear();
  expect([cache.bytes, held.device.pool.liveBytes]).toEqual([0, 0]);
  cache.dispose();
});

test("what is larger than the cache, or known already, remains the giver's", () => {
  const cache = new VisionCache(held.device, 400);
  cache.keep("a", tensor());
  const [large, twin] = [tensor(101), tensor()];
  cache.keep("b", large);
  cache.keep("a", twin);
  expect([cache.bytes, known(cache, "ab")]).toEqual([400, ["a"]]);
  cache.dispose();
  expect(held.device.pool.liveBlocks).toBe(2);
  for (const own of [large, twin]) own.dispose();
  expect(held.device.pool.liveBytes).toBe(0);
});
