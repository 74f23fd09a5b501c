import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { NoRoomError, OptionError, SourceError } from "../../src/base/errors.js";
import { BatchResults } from "../../src/cli/batch-results.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-results-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const line = (id: string, status = 200) => JSON.stringify({ custom_id: id, response: { status_code: status } });

test("a second process is refused with the name of the file and the process, until the first is done", async () => {
  const path = join(folder, "locked.jsonl");
  const first = await BatchResults.claim(path);
  await expect(BatchResults.claim(path)).rejects.toThrow(OptionError);
  await expect(BatchResults.claim(path)).rejects.toThrow(
    `locked.jsonl: expected an output that no other batch writes to, got one that process ${process.pid} writes to`,
  );
  await first.begin();
  await first.write(line("a"));
  await first.close();
  expect(existsSync(`${path}.lock`)).toBe(false);
  const second = await BatchResults.claim(path);
  expect([...second.done]).toEqual(["a"]);
  await second.close();
});

test("the lock of a process that died is taken over", async () => {
  const path = join(folder, "stale.jsonl");
  await writeFile(`${path}.lock`, JSON.stringify({ pid: 2 ** 22 + 7, host: hostname(), id: "gone" }));
  await (await BatchResults.claim(path)).close();
});

test("lines are written one after the other, each on the disk before its write resolves", async () => {
  const path = join(folder, "synced.jsonl");
  const results = await BatchResults.claim(path);
  await results.begin();
  const some = await open(path);
  const handles = Object.getPrototypeOf(some) as { datasync(): Promise<void> };
  await some.close();
  const synced = vi.spyOn(handles, "datasync");
  await Promise.all(["a", "b", "c"].map((id) => results.write(line(id))));
  expect(synced).toHaveBeenCalledTimes(3);
  synced.mockRestore();
  await results.close();
  expect(await readFile(path, "utf8")).toBe(`${line("a")}\n${line("b")}\n${line("c")}\n`);
});

test("a torn line and server errors are removed from what is finished", async () => {
  const path = join(folder, "torn.jsonl");
  await writeFile(path, `${line("a")}\n${line("b", 503)}\n{"custom_id":"c","resp`);
  const results = await BatchResults.claim(path);
  expect([...results.done]).toEqual(["a"]);
  await results.close();
  expect(await readFile(path, "utf8")).toBe(`${line("a")}\n`);
});

test.skipIf(!existsSync("/dev/full"))("a full disk is NO_ROOM", async () => {
  const results = await BatchResults.claim("/dev/full");
  await results.begin();
  await expect(results.write(line("a"))).rejects.toThrow(NoRoomError);
  await expect(results.write(line("a"))).rejects.toThrow(
    /got a full disk — free some space; then run it again to resume/,
  );
  await results.close();
});

test("a folder that does not exist is named before the model is loaded", async () => {
  const path = join(folder, "none", "out.jsonl");
  await expect(BatchResults.claim(path)).rejects.toThrow(SourceError);
  expect(existsSync(join(folder, "none"))).toBe(false);
});
