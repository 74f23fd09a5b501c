import { expect, test, vi } from "vitest";
import { bytesSource } from "../../src/io/bytes/source.js";
import { HostCache } from "../../src/layers/host-cache.js";

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);

test("ranges are kept as long as there is room, the first ones that were read", async () => {
  const source = bytesSource(BYTES, "file");
  const read = vi.spyOn(source, "read");
  const cache = new HostCache(25);
  const kept = cache.over(source);
  const ranges = [
    [0, 10],
    [10, 10],
    [20, 10],
  ] as const;
  for (let pass = 0; pass < 3; pass++) {
    for (const [at, length] of ranges) expect(await kept.read(at, length)).toEqual(BYTES.slice(at, at + length));
  }
  expect(cache.heldBytes).toBe(20);
  expect(read.mock.calls.map(([at]) => at)).toEqual([0, 10, 20, 20, 20]);
});

test("memory that the caller uses again is copied", async () => {
  const source = bytesSource(BYTES, "file");
  const memory = new Uint8Array(10);
  const into = { ...source, read: async (at: number) => memory.fill(at) };
  const kept = new HostCache(100).over(into);
  await kept.read(1, 10);
  await kept.read(2, 10);
  expect(await kept.read(1, 10)).toEqual(new Uint8Array(10).fill(1));
});

test("what could not be read is not kept, and what is read twice at once is kept once", async () => {
  const cache = new HostCache(100);
  await expect(cache.read("a", () => Promise.reject(new Error("a bad sector")))).rejects.toThrow("a bad sector");
  const read = vi.fn(async () => BYTES.slice(0, 10));
  await Promise.all([cache.read("a", read), cache.read("a", read)]);
  expect(cache.heldBytes).toBe(10);
  await cache.read("a", read);
  expect(read).toHaveBeenCalledTimes(2);
});
