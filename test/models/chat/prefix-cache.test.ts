import { describe, expect, test } from "vitest";
import { LimitError } from "../../../src/base/errors.js";
import { KVCache } from "../../../src/layers/kv-cache.js";
import { KVPool } from "../../../src/layers/kv-pool.js";
import { PrefixCache } from "../../../src/models/chat/prefix-cache.js";
import type { Sequence } from "../../../src/models/chat/sequence.js";
import { forge } from "../../support/adapters.js";
import { useDevice } from "../../support/device.js";
import { exampleFile } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

const held = useDevice();
const BLOCK = 64;

const sequence = (ids: readonly number[], media: readonly [start: number, tokens: number, key: string][] = []) =>
  ({ inputIds: ids, media: media.map(([start, tokens, key]) => ({ start, tokens, key })) }) as unknown as Sequence;
const counting = (length: number, from = 0): number[] => Array.from({ length }, (_, i) => from + i);

/** A pool of one layer, and a cache of `length` rows in it. */
function begin(mostBytes: number) {
  const pool = new KVPool(held.device, 1, 8);
  const prefixes = new PrefixCache(pool, mostBytes);
  const cacheOf = (length: number): KVCache => {
    const cache = new KVCache(held.device, 1, 8, "f32", 4096, pool);
    cache.reserve(length);
    cache.length = length;
    return cache;
  };
  return { pool, prefixes, cacheOf };
}

test("the longest known prefix in full blocks is found, at most as many rows as are wanted", () => {
  const { pool, prefixes, cacheOf } = begin(2 ** 20);
  const cache = cacheOf(200);
  const ids = counting(200);
  prefixes.keep(sequence(ids), undefined, cache.blocks, 200);
  expect([prefixes.size, pool.usedBlocks, pool.sharedBlocks]).toEqual([3, 4, 3]);
  const find = (own: readonly number[], rows = own.length) => prefixes.find(sequence(own), undefined, rows);
  expect(find(ids)).toEqual(cache.blocks.slice(0, 3));
  expect(find(ids, 191)).toEqual(cache.blocks.slice(0, 2));
  expect(find([...counting(130), 7, ...counting(69)])).toEqual(cache.blocks.slice(0, 2));
  expect(find([1, ...ids])).toEqual([]);
  // The same ids behind others are another block.
  expect(find([...counting(BLOCK, 500), ...counting(BLOCK, BLOCK)])).toEqual([]);
  prefixes.forget();
  cache.dispose();
  expect(held.device.pool.liveBytes).toBe(0);
});

test("blocks are apart by the media in them, by adapters and by what is before them", () => {
  const { prefixes, cacheOf } = begin(2 ** 20);
  const [one, other] = [cacheOf(192), cacheOf(192)];
  const ids = counting(192);
  prefixes.keep(sequence(ids, [[70, 100, "a star"]]), undefined, one.blocks, 192);
  prefixes.keep(sequence(ids, [[70, 100, "a square"]]), ["names"], other.blocks, 192);
  const find = (key: string, adapters?: readonly string[]) =>
    prefixes.find(sequence(ids, [[70, 100, key]]), adapters, 192);
  expect(find("a star")).toEqual(one.blocks);
  expect(find("a square")).toEqual(one.blocks.slice(0, 1));
  expect(find("a square", ["names"])).toEqual(other.blocks);
  expect(find("a square", [])).toEqual([]);
  expect(prefixes.find(sequence(ids, [[71, 100, "a star"]]), undefined, 192)).toEqual(one.blocks.slice(0, 1));
  prefixes.forget();
  for (const cache of [one, other]) cache.dispose();
});

test("blocks that no session has are evicted beyond a size, least recently used first, the later ones of a sequence before the earlier", () => {
  const { pool, prefixes, cacheOf } = begin(4 * 2 * BLOCK * 8 * 4);
  const lists = [0, 1, 2].map((i) => {
    const cache = cacheOf(2 * BLOCK);
    const own = sequence(counting(2 * BLOCK, 1000 * i));
    prefixes.keep(own, undefined, cache.blocks, 2 * BLOCK);
    return { cache, own };
  });
  const known = () => lists.map(({ own }) => prefixes.find(own, undefined, 2 * BLOCK).length);
  expect(known()).toEqual([2, 2, 2]);
  prefixes.find(lists[0]!.own, undefined, 2 * BLOCK);
  for (const { cache } of lists) cache.dispose();
  prefixes.evict();
  expect([pool.usedBlocks, prefixes.size]).toEqual([4, 4]);
  expect(known()).toEqual([2, 0, 2]);
  // One that a session has stays, and so does what is before it.
  const user = new KVCache(held.device, 1, 8, "f32", 4096, pool);
  user.restart(prefixes.find(lists[2]!.own, undefined, 2 * BLOCK));
  expect(user.length).toBe(2 * BLOCK);
  prefixes.clear();
  expect(known()).toEqual([0, 0, 2]);
  user.dispose();
  prefixes.evict();
  expect(pool.usedBlocks).toBe(2);
  prefixes.clear();
  expect([pool.usedBlocks, held.device.pool.liveBytes]).toEqual([0, 0]);
});

test("where a binding has no room, blocks that no session has make some", () => {
  const { device } = held;
  const { facts } = device;
  forge(device, { maxBindingBytes: 300 * 8 * 4 });
  try {
    const { pool, prefixes, cacheOf } = begin(2 ** 30);
    pool.reclaim = () => prefixes.clear();
    const cache = cacheOf(256);
    prefixes.keep(sequence(counting(256)), undefined, cache.blocks, 256);
    cache.dispose();
    expect(pool.usedBlocks).toBe(4);
    const next = cacheOf(200);
    expect([pool.usedBlocks, prefixes.size]).toEqual([4, 0]);
    expect(() => next.reserve(300)).toThrow(LimitError);
    next.dispose();
    expect(device.pool.liveBytes).toBe(0);
  } finally {
    forge(device, facts);
  }
});

describe("sessions of a model", async () => {
  const tiny = useTiny();
  const [square, star] = [await exampleFile("00-shapes.png"), await exampleFile("01-shapes.png")];
  const about = (image: typeof square, text: string) =>
    [
      { type: "image", image },
      { type: "text", text },
    ] as const;
  const options = { maxNewTokens: 12, minNewTokens: 12 };

  test("a picture that another session has seen is not computed again, and the answers are those of sessions alone", async () => {
    const { model } = tiny;
    const alone = [];
    for (const [image, text] of [
      [square, "What do you see?"],
      [square, "Which shape?"],
      [star, "Which shape?"],
    ] as const) {
      using session = model.createSession();
      alone.push((await session.generate(about(image, text), options).result).tokens);
    }
    using first = model.createSession();
    using second = model.createSession();
    using other = model.createSession();
    const one = await first.generate(about(square, "What do you see?"), options).result;
    expect([one.tokens, one.usage.reusedTokens]).toEqual([alone[0], 0]);
    const used = model.internals.kvPool.usedBlocks;
    const { promptTokens, reusedTokens } = await second.measure(about(square, "Which shape?"));
    const two = await second.generate(about(square, "Which shape?"), options).result;
    expect(two.usage).toMatchObject({ promptTokens, reusedTokens, tiles: 0 });
    expect([two.tokens, reusedTokens % BLOCK]).toEqual([alone[1], 0]);
    expect(reusedTokens).toBeGreaterThan(promptTokens / 2);
    // What is shared is there once.
    expect(model.internals.kvPool.usedBlocks - used).toBeLessThanOrEqual(
      Math.ceil((promptTokens + 64 - reusedTokens) / BLOCK),
    );
    const three = await other.generate(about(star, "Which shape?"), options).result;
    expect([three.tokens, three.usage.reusedTokens]).toEqual([alone[2], 0]);
  });

  test("rows stay when their session ends, until the last one does, or weights change, or memory is short", async () => {
    const { model } = tiny;
    const { kvPool, prefixCache } = model.internals;
    using staying = model.createSession();
    const known = async (): Promise<number> => (await staying.measure(about(square, "What?"))).reusedTokens;
    const ask = async (): Promise<void> => {
      using session = model.createSession();
      await session.generate(about(square, "What do you see?"), { maxNewTokens: 2 }).result;
    };
    await ask();
    expect(await known()).toBeGreaterThan(0);
    expect(kvPool.usedBlocks).toBe(prefixCache.size);
    await model.internals.shed();
    expect([await known(), kvPool.usedBlocks]).toEqual([0, 0]);
    await ask();
    expect(await known()).toBeGreaterThan(0);
    staying.dispose();
    expect([kvPool.usedBlocks, prefixCache.size, tiny.device.pool.liveBytes]).toEqual([0, 0, tiny.weights]);
  });
});
