import { expect, it } from "vitest";
import { type Block, Pool } from "../../src/runtime/pool.js";

/** A pool on a stand-in for a GPU that counts: a real one does not tell which buffers are destroyed. */
function poolOf(maxBufferSize = 2 ** 31) {
  const made: number[] = [];
  const events: string[] = [];
  const gpu = {
    limits: { maxBufferSize },
    createBuffer: ({ size }: { size: number }) => {
      made.push(size);
      return { destroy: () => void events.push(`destroy ${size}`) };
    },
  } as unknown as GPUDevice;
  const onDestroy = (blocks: ReadonlySet<Block>) => void events.push(`forget ${blocks.size}`);
  return { pool: new Pool(gpu, () => void events.push("flush"), onDestroy), made, events };
}

it("a released block is used again for about as many bytes, not for far fewer or more", () => {
  const { pool, made } = poolOf();
  const block = pool.acquire(1000, "a");
  expect(block.sizeBytes).toBe(1024);
  pool.release(block);
  expect(pool.acquire(900, "b").id).toBe(block.id);
  pool.release(block);
  expect(pool.acquire(100, "c").id).not.toBe(block.id);
  expect(pool.acquire(2000, "d").id).not.toBe(block.id);
  expect(made).toEqual([1024, 256, 2048]);
});

it("owned, free and most bytes are counted", () => {
  const { pool } = poolOf();
  const [a, b] = [pool.acquire(256, "a"), pool.acquire(512, "b")];
  expect([pool.liveBytes, pool.liveBlocks, pool.peakBytes, pool.reservedBytes]).toEqual([768, 2, 768, 768]);
  pool.release(b);
  expect([pool.liveBytes, pool.liveBlocks, pool.peakBytes, pool.reservedBytes]).toEqual([256, 1, 768, 768]);
  pool.release(a);
  pool.trim();
  expect([pool.liveBytes, pool.reservedBytes, pool.peakBytes]).toEqual([0, 0, 768]);
});

it("recorded commands are submitted before the buffers of free blocks are destroyed", () => {
  const { pool, events } = poolOf();
  pool.trim();
  expect(events).toEqual([]);
  pool.release(pool.acquire(256, "a"));
  pool.acquire(512, "b");
  pool.trim();
  expect(events).toEqual(["flush", "forget 1", "destroy 256"]);
});

it("a size is not rounded up beyond the largest buffer, and large ones by little", () => {
  expect(poolOf(1_000_000).pool.acquire(999_999, "a").sizeBytes).toBe(1_000_000);
  const large = poolOf().pool.acquire(100_000_001, "b").sizeBytes;
  expect(large).toBeGreaterThan(100_000_001);
  expect(large).toBeLessThan(101_000_000);
});

it("a placeholder takes no memory", () => {
  const { pool } = poolOf();
  pool.release(pool.placeholder());
  expect([pool.liveBytes, pool.liveBlocks, pool.reservedBytes]).toEqual([0, 0, 0]);
});
