import { describe, expect, test } from "vitest";
import { LimitError } from "../../src/base/errors.js";
import { rowsOfBlocks } from "../../src/bench/reference/kv-blocks.js";
import { storedRows } from "../../src/bench/reference/kv-format.js";
import { BLOCK_ROWS } from "../../src/kernels/kv-blocks.js";
import { type CacheType, paddedRow } from "../../src/kernels/kv-format.js";
import { KVCache } from "../../src/layers/kv-cache.js";
import { KVPool } from "../../src/layers/kv-pool.js";
import { expectSame } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { random } from "../support/random.js";

const held = useDevice();
const [LAYERS, WIDTH] = [2, 32];

const cacheIn = (pool: KVPool): KVCache =>
  new KVCache(held.device, pool.layers, pool.width, pool.type, Number.POSITIVE_INFINITY, pool);

/** Writes rows `length` to `length + count` of a cache, bytes that tell row and tensor from those of any other call, as a step does. */
function append(cache: KVCache, count: number, mark: number): void {
  cache.reserve(cache.length + count);
  for (const [t, tensor] of [...cache.keys, ...cache.values].entries()) {
    for (let i = 0; i < count; i++) {
      const position = cache.length + i;
      const row = cache.blocks[Math.floor(position / BLOCK_ROWS)]! * BLOCK_ROWS + (position % BLOCK_ROWS);
      for (const { firstByte, bytes } of cache.pool.rangesOf(tensor, row, 1)) {
        // Never the bytes of a number that is none.
        const data = Uint8Array.from({ length: bytes }, (_, b) =>
          b % 2 === 1 ? 60 : (mark * 31 + i * 7 + t + b) % 61,
        );
        held.device.write(tensor, data, firstByte);
      }
    }
  }
  cache.length += count;
}

/** The rows of a cache in all tensors. */
async function rowsOf(cache: KVCache): Promise<Float64Array[]> {
  const { pool, blocks, length } = cache;
  const stride = paddedRow(pool.width, pool.type);
  return Promise.all(
    [...pool.keys, ...pool.values].map(async (tensor) => {
      const stored = storedRows(await held.device.read(tensor), pool.type, tensor.size(0), stride);
      return rowsOfBlocks(stored, blocks, BLOCK_ROWS, length, stride);
    }),
  );
}

async function expectRows(cache: KVCache, truth: readonly Float64Array[]): Promise<void> {
  for (const [i, rows] of (await rowsOf(cache)).entries()) {
    const expected = truth[i]!.slice(0, rows.length);
    expectSame(rows, expected, `tensor ${i}`);
  }
}

describe.each<CacheType>(["f32", "f16", "q8"])("a pool in %s", (type) => {
  test("a clone shares blocks; the rows that either writes are its own", async () => {
    const pool = new KVPool(held.device, LAYERS, WIDTH, type);
    const first = cacheIn(pool);
    append(first, 150, 1);
    const before = await rowsOf(first);
    const clone = first.clone();
    // Two blocks are full, and shared; of the third, each has its own.
    expect([pool.usedBlocks, pool.sharedBlocks, clone.length]).toEqual([4, 2, 150]);
    append(first, 20, 2);
    append(clone, 60, 3);
    const own = await rowsOf(first);
    for (const cache of [first, clone]) {
      cache.truncate(150);
      await expectRows(cache, before);
    }
    // Cut back into a shared block: written again, it is a copy.
    clone.truncate(100);
    append(clone, 10, 4);
    expect(pool.sharedBlocks).toBe(1);
    first.length = 170;
    await expectRows(first, own);
    clone.truncate(100);
    await expectRows(clone, before);
    first.dispose();
    await expectRows(clone, before);
    clone.dispose();
    expect([pool.usedBlocks, pool.rows, held.device.pool.liveBytes]).toEqual([0, 0, 0]);
  });

  test("memory is freed when half of it is free, and rows move with their blocks", async () => {
    const pool = new KVPool(held.device, LAYERS, WIDTH, type);
    const caches = [0, 1, 2, 3].map((i) => {
      const cache = cacheIn(pool);
      append(cache, 250, i);
      return cache;
    });
    expect([pool.usedBlocks, pool.rows]).toEqual([16, 1280]);
    const last = await rowsOf(caches[3]!);
    // A table on the device is written again.
    expect([...(await caches[3]!.table.tensor.read("u32")).slice(0, 4)]).toEqual([12, 13, 14, 15]);
    caches[0]!.dispose();
    expect(pool.rows).toBe(1280);
    caches[2]!.dispose();
    expect(pool.rows).toBe(512);
    expect(Math.max(...caches[3]!.blocks)).toBeLessThan(8);
    await expectRows(caches[3]!, last);
    expect([...(await caches[3]!.table.tensor.read("u32")).slice(0, 4)]).toEqual([...caches[3]!.blocks]);
    append(caches[3]!, 300, 5);
    caches[1]!.dispose();
    caches[3]!.truncate(250);
    await expectRows(caches[3]!, last);
    caches[3]!.dispose();
    expect(held.device.pool.liveBytes).toBe(0);
  });
});

test("a thousand random appends, clones, truncations and ends: every row is right, and no block is left", async () => {
  const pool = new KVPool(held.device, 1, 4, "f32");
  const next = random(7);
  const marks = new Map<KVCache, number[]>();
  /** Appends rows whose numbers are `mark`, without reading. */
  const write = (cache: KVCache, count: number, mark: number): void => {
    cache.reserve(cache.length + count);
    for (let i = 0; i < count; i++) {
      const position = cache.length + i;
      const row = cache.blocks[Math.floor(position / BLOCK_ROWS)]! * BLOCK_ROWS + (position % BLOCK_ROWS);
      for (const tensor of [...cache.keys, ...cache.values])
        held.device.write(tensor, Float32Array.of(mark, mark, mark, position), row * 16);
    }
    cache.length += count;
    marks.get(cache)!.push(...Array.from({ length: count }, () => mark));
  };
  for (let step = 0; step < 1000; step++) {
    const caches = [...marks.keys()];
    const some = caches[Math.floor(next() * caches.length)];
    const kind = next();
    if (!some || (kind < 0.1 && caches.length < 8)) {
      const cache = cacheIn(pool);
      marks.set(cache, []);
      write(cache, 1 + Math.floor(next() * 100), step);
    } else if (kind < 0.6) {
      write(some, 1 + Math.floor(next() * 12), step);
    } else if (kind < 0.75 && caches.length < 8) {
      marks.set(some.clone(), [...marks.get(some)!]);
    } else if (kind < 0.9) {
      const length = Math.floor(next() * some.length);
      some.truncate(length);
      marks.get(some)!.length = length;
    } else {
      some.dispose();
      marks.delete(some);
    }
    if (step % 100 !== 99) continue;
    for (const [cache, truth] of marks) {
      const [keys] = await rowsOf(cache);
      expect(Array.from({ length: cache.length }, (_, i) => keys![4 * i])).toEqual(truth);
    }
  }
  const used = new Set([...marks.keys()].flatMap(({ blocks }) => blocks));
  expect(pool.usedBlocks).toBe(used.size);
  for (const cache of marks.keys()) cache.dispose();
  expect([pool.usedBlocks, pool.rows, held.device.pool.liveBytes]).toEqual([0, 0, 0]);
});

test("within a budget of rows one sequence has as many as it needs, but a second waits for room", () => {
  const { device } = held;
  const pool = new KVPool(device, LAYERS, WIDTH, "f32", 256);
  const [large, small] = [cacheIn(pool), cacheIn(pool)];
  large.reserve(300);
  expect(pool.rows).toBe(512);
  large.dispose();
  large.reserve(130);
  small.reserve(64);
  let cause: unknown;
  try {
    small.reserve(65);
  } catch (error) {
    cause = error;
  }
  expect(cause).toBeInstanceOf(LimitError);
  expect(pool.isFull(cause)).toBe(true);
  expect(small.capacity).toBe(64);
  expect(pool.rows).toBe(256);
  large.dispose();
  small.reserve(256);
  small.dispose();
  expect(pool.usedBlocks).toBe(0);
});

/** The error of `work`. */
function errorOf(work: () => void): unknown {
  try {
    work();
  } catch (cause) {
    return cause;
  }
  throw new Error("there was room");
}

test("who waits for room has it in the order of coming: small ones that come later do not overtake for ever", async () => {
  const pool = new KVPool(held.device, 1, 4, "f32", 256);
  const [large, other] = [cacheIn(pool), cacheIn(pool)];
  const begun: string[] = [];
  /** Begins as an answer does: waits until it may, and gives up what it has before it does. */
  const begin = async (name: string, cache: KVCache, rows: number): Promise<void> => {
    for (;;) {
      try {
        cache.reserve(rows, true);
        begun.push(name);
        return;
      } catch (cause) {
        cache.dispose();
        await pool.room(cause);
      }
    }
  };
  await begin("first", other, 128);
  const waits = begin("large", large, 256);
  // Each of them would fit beside the one that runs.
  const small = [0, 1, 2].map(() => cacheIn(pool));
  const later = small.map((cache, i) => begin(`small ${i}`, cache, 64));
  await Promise.resolve();
  expect(begun).toEqual(["first"]);
  // One that runs may grow: it ends the sooner.
  other.length = 128;
  other.reserve(192);
  other.dispose();
  await waits;
  expect(begun).toEqual(["first", "large"]);
  large.dispose();
  await Promise.all(later);
  expect(begun).toEqual(["first", "large", "small 0", "small 1", "small 2"]);
  for (const cache of small) cache.dispose();
  expect([pool.usedBlocks, held.device.pool.liveBytes]).toEqual([0, 0]);
});

test("who gives up its place lets the next one begin, and one that had begun comes before those that had not", async () => {
  const pool = new KVPool(held.device, 1, 4, "f32", 128);
  const [first, second, third, grown] = [0, 1, 2, 3].map(() => cacheIn(pool)) as [KVCache, KVCache, KVCache, KVCache];
  first.reserve(64, true);
  grown.reserve(64, true);
  grown.length = 64;
  const order: string[] = [];
  const refused = errorOf(() => second.reserve(128, true));
  const behind = errorOf(() => third.reserve(64, true));
  const preempted = errorOf(() => grown.reserve(128));
  grown.dispose();
  for (const [name, cause] of Object.entries({ refused, behind, preempted }))
    void pool.room(cause)!.then(() => order.push(name));
  first.dispose();
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(order).toEqual(["preempted"]);
  pool.forgo(preempted);
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(order).toEqual(["preempted", "refused"]);
  pool.forgo(refused);
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(order).toEqual(["preempted", "refused", "behind"]);
  third.reserve(64, true);
  third.dispose();
  // Nobody else has any, now or when it was refused.
  const alone = new KVPool(held.device, 1, 4, "f32");
  expect(alone.room(new LimitError({ where: "", expected: "", got: "", remedy: "" }))).toBeUndefined();
});
