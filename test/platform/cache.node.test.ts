import { lstat, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AbortedError, NoRoomError } from "../../src/base/errors.js";
import { cache } from "../../src/platform/node-cache.js";

const refused = vi.hoisted(() => ({ symlink: false, link: false, write: false }));

vi.mock("node:fs/promises", async (original) => {
  const fs = await original<typeof import("node:fs/promises")>();
  const fail = (code: string) => Promise.reject(Object.assign(new Error(code), { code, syscall: "test" }));
  return {
    ...fs,
    symlink: (...given: Parameters<typeof fs.symlink>) => (refused.symlink ? fail("EPERM") : fs.symlink(...given)),
    link: (...given: Parameters<typeof fs.link>) => (refused.link ? fail("EPERM") : fs.link(...given)),
    open: async (...given: Parameters<typeof fs.open>) => {
      const file = await fs.open(...given);
      if (refused.write) file.write = () => fail("ENOSPC");
      return file;
    },
  };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cache "));
});
afterEach(async () => {
  Object.assign(refused, { symlink: false, link: false, write: false });
  await rm(folder, { recursive: true });
});

test.each([
  [{ symlink: false, link: false }, "a symbolic link", true, 1],
  [{ symlink: true, link: false }, "a hard link where those are refused", false, 2],
  [{ symlink: true, link: true }, "a copy where both are", false, 1],
])("%j: %s", async (refusal, _, symbolic, links) => {
  Object.assign(refused, refusal);
  const [blob, pointer] = [join(folder, "blob"), join(folder, "a", "b", "file")];
  await writeFile(blob, "content");
  await cache.link(blob, pointer);
  expect((await lstat(pointer)).isSymbolicLink()).toBe(symbolic);
  expect((await stat(blob)).nlink).toBe(links);
  await writeFile(blob, "other content");
  await cache.link(blob, pointer);
  expect(await readFile(pointer, "utf8")).toBe("other content");
  expect(await readdir(join(folder, "a", "b"))).toEqual(["file"]);
});

test("a full disk says what to do", async () => {
  refused.write = true;
  const partial = await cache.openPartial(join(folder, "file"));
  const writing = partial.write(new Uint8Array(3), 0);
  await expect(writing).rejects.toThrow(/a full disk — free some space.*HF_HUB_CACHE/);
  await expect(writing).rejects.toBeInstanceOf(NoRoomError);
  await partial.close();
});

test("a partial file is gone on with", async () => {
  const path = join(folder, "new", "file");
  const first = await cache.openPartial(path);
  expect(first.sizeBytes).toBe(0);
  await first.write(Uint8Array.of(1, 2, 3), 0);
  expect(await first.flush()).toBe(3);
  await first.close();
  const second = await cache.openPartial(path);
  expect(second.sizeBytes).toBe(3);
  expect([...(await second.read(1, 5))]).toEqual([2, 3]);
  await second.truncate(1);
  expect(await second.flush()).toBe(1);
  await second.close();
});

test("a lock is held by one at a time, and waiting can be aborted", async () => {
  const path = join(folder, "locks", "a");
  let inside = 0;
  const once = async (): Promise<void> => {
    const release = await cache.lock(path);
    expect(++inside).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside--;
    await release();
  };
  await Promise.all([once(), once(), once(), once()]);
  const release = await cache.lock(path);
  const waited = vi.fn();
  await expect(cache.lock(path, AbortSignal.timeout(20), waited)).rejects.toThrow(AbortedError);
  expect(waited).toHaveBeenCalled();
  await release();
  expect(await readdir(join(folder, "locks"))).toEqual([]);
});

test("a lock of a dead process, or one without a sign of life, is taken over", async () => {
  const path = join(folder, "a");
  const old = new Date(Date.now() - 3_600_000);
  const dead = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), id: "x" });
  const elsewhere = JSON.stringify({ pid: 1, host: "elsewhere", id: "x" });
  for (const [text, time] of [[dead, undefined] as const, [elsewhere, old] as const, ["", old] as const]) {
    await writeFile(path, text);
    if (time) await utimes(path, time, time);
    await (await cache.lock(path))();
    expect(await readdir(folder)).toEqual([]);
  }
  for (const alive of [elsewhere, JSON.stringify({ pid: process.pid, host: hostname(), id: "x" }), ""]) {
    await writeFile(path, alive);
    await expect(cache.lock(path, AbortSignal.timeout(20))).rejects.toThrow(AbortedError);
  }
});

test("free space is reported for folders that do not exist yet", async () => {
  expect(await cache.freeBytes(join(folder, "not", "yet", "file"))).toBeGreaterThan(0);
});
