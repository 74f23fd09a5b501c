import { expect, test } from "vitest";
import type { PassWork } from "../../../src/models/chat/session-cache.js";
import { SessionCache } from "../../../src/models/chat/session-cache.js";
import { useTiny } from "../../support/tiny-model.js";

const held = useTiny();

const prompt = { inputIds: [5, 6, 7, 8, 9, 10], media: [] };
const usage = () => ({ reusedTokens: 0, tiles: 0 });
const fill: PassWork = async (pass, _owner, reused, cache) => {
  cache.reserve(prompt.inputIds.length);
  await pass.fill(reused, prompt.inputIds.length, cache);
  return [];
};

test("rows that were released are computed again, the same ones", async () => {
  const { internals } = held.model;
  const cache = new SessionCache(internals);
  await cache.during(prompt, {}, undefined, usage(), fill);
  const keys = await cache.rows.keys[0]!.read();
  const longer = { ...prompt, inputIds: [...prompt.inputIds, 11] };
  expect(cache.reused(longer)).toBe(6);
  const live = held.device.pool.liveBytes;
  cache.release();
  expect(held.device.pool.liveBytes).toBeLessThan(live);
  expect(cache.reused(longer)).toBe(0);
  expect(cache.prefix.ids).toEqual(prompt.inputIds);
  // The last token needs no row: the row before it is what attention maps compute again.
  const rows = await cache.refill({});
  expect(rows.length).toBe(prompt.inputIds.length - 1);
  const width = rows.keys[0]!.size(1);
  expect((await rows.keys[0]!.read()).slice(0, rows.length * width)).toEqual(keys.slice(0, rows.length * width));
  const other = cache.clone();
  expect(other.reused(longer)).toBe(5);
  for (const own of [cache, other]) own.release();
});

test("work that fails leaves the prefix that was there before", async () => {
  const cache = new SessionCache(held.model.internals);
  await cache.during(prompt, {}, undefined, usage(), fill);
  const changed = { ...prompt, inputIds: [5, 6, 1, 2, 3] };
  const counts = usage();
  const failing = cache.during(changed, {}, undefined, counts, async (...given) => {
    await fill(...given);
    throw new RangeError("after the work");
  });
  await expect(failing).rejects.toThrow("after the work");
  expect(counts.reusedTokens).toBe(2);
  expect(cache.reused(prompt)).toBe(2);
  cache.release();
});
