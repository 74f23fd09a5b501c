import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type UnpackedFile, unpackOnce } from "../../src/platform/node-unpack.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "ocellus-unpack-test-"));
  await mkdir(join(root, "tmp"));
  vi.stubEnv("TMPDIR", join(root, "tmp"));
  vi.stubEnv("XDG_CACHE_HOME", join(root, "cache"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

const LIBRARY = new Uint8Array(5000).map((_, i) => i);
const files = vi.fn(
  async (): Promise<UnpackedFile[]> => [
    { name: "lib/a.so", mode: 0o755, bytes: LIBRARY },
    { name: "b.json", mode: 0o644, bytes: new Uint8Array([123, 125]) },
  ],
);
const unpack = (accept?: (folder: string) => void) => unpackOnce("thing-1.0", files, accept);

beforeEach(() => files.mockClear());

test("files are written once and used again", async () => {
  const folder = await unpack();
  expect(folder.startsWith(join(root, "tmp"))).toBe(true);
  expect(new Uint8Array(await readFile(join(folder, "lib/a.so")))).toEqual(LIBRARY);
  expect(await unpack()).toBe(folder);
  expect(files).toHaveBeenCalledTimes(1);
});

test.each<[string, (folder: string) => Promise<unknown>]>([
  ["cut short", (folder) => truncate(join(folder, "lib/a.so"), 4096)],
  ["of the same size but changed", (folder) => writeFile(join(folder, "lib/a.so"), new Uint8Array(5000))],
  ["removed", (folder) => rm(join(folder, "b.json"))],
  ["without its manifest", (folder) => rm(join(folder, "ocellus-files.json"))],
])("a folder with a file that is %s is written anew", async (_, damage) => {
  const folder = await unpack();
  await damage(folder);
  expect(await unpack()).toBe(folder);
  expect(files).toHaveBeenCalledTimes(2);
  expect(new Uint8Array(await readFile(join(folder, "lib/a.so")))).toEqual(LIBRARY);
  expect(existsSync(join(folder, "b.json"))).toBe(true);
});

test("several at once leave one folder", async () => {
  const folders = await Promise.all([unpack(), unpack(), unpack(), unpack()]);
  expect(new Set(folders).size).toBe(1);
  expect(await readdir(join(root, "tmp"))).toHaveLength(1);
});

test("what a killed process left is removed after an hour", async () => {
  const left = join(root, "tmp", `ocellus-thing-1.0-${process.getuid!()}.abcdef`);
  await mkdir(left);
  await unpack();
  expect(existsSync(left)).toBe(true);
  await utimes(left, new Date(0), new Date(0));
  await rm(join(root, "tmp", `ocellus-thing-1.0-${process.getuid!()}`), { recursive: true });
  await unpack();
  expect(existsSync(left)).toBe(false);
});

test("where the temporary folder won't do, the user's cache folder is next", async () => {
  const folder = await unpack((path) => {
    if (path.startsWith(join(root, "tmp"))) throw new Error("failed to map segment from shared object");
  });
  expect(folder.startsWith(join(root, "cache", "ocellus"))).toBe(true);
});

test("a temporary folder that is a file or missing", async () => {
  vi.stubEnv("TMPDIR", join(root, "file"));
  await writeFile(join(root, "file"), "");
  expect((await unpack()).startsWith(join(root, "cache"))).toBe(true);
});

test("the error has the reason of every folder", async () => {
  const refuse = (folder: string) => {
    throw new Error(`no ${folder.startsWith(root) ? "right" : "room"}`);
  };
  await expect(unpack(refuse)).rejects.toThrow(/tmp: no right; .*cache\/ocellus: no right; \/var\/tmp: no room/);
  for (const parent of ["/var/tmp", "/dev/shm"]) {
    await rm(join(parent, `ocellus-thing-1.0-${process.getuid!()}`), { recursive: true, force: true });
  }
});

test("an archive that names a file outside the folder is refused", async () => {
  const outside = async () => [{ name: "../out", mode: 0o644, bytes: new Uint8Array(1) }];
  await expect(unpackOnce("evil", outside)).rejects.toThrow("names a file outside itself: ../out");
});
