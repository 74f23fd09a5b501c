import { expect, test } from "vitest";
import { readListing, writeListing } from "../../../src/io/hub/hub-listing.js";
import { CachePaths, type HubFile } from "../../../src/io/hub/hub-names.js";
import type { FileCache } from "../../../src/platform/platform.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const [SHA1, SHA256] = ["a".repeat(40), "b".repeat(64)];
const paths = new CachePaths("/cache", "org/name");

/** A cache of texts by path. */
function cacheOf(texts: Record<string, string>) {
  return {
    readText: async (path: string) => texts[path],
    writeText: async (path: string, text: string) => {
      texts[path] = text;
    },
  } as unknown as FileCache;
}

const FILES: readonly HubFile[] = [
  { path: "model.safetensors", sizeBytes: 900, hash: SHA256, gitHash: SHA1, xetHash: "x" },
  { path: "config.json", sizeBytes: 30, hash: SHA1, gitHash: SHA1 },
];

test("a listing that is written is read back, in the order of paths, in the format of huggingface_hub", async () => {
  const texts: Record<string, string> = {};
  await writeListing(cacheOf(texts), paths, COMMIT, FILES);
  expect(JSON.parse(texts[paths.tree(COMMIT)]!)).toEqual({
    format_version: 1,
    files: {
      "config.json": { size: 30, blob_id: SHA1 },
      "model.safetensors": { size: 900, blob_id: SHA1, lfs_sha256: SHA256, lfs_size: 900, xet_hash: "x" },
    },
  });
  expect(await readListing(cacheOf(texts), paths, COMMIT)).toEqual([FILES[1], FILES[0]]);
});

test.each<[string, string | undefined]>([
  ["no file", undefined],
  ["no JSON", "{"],
  ["another version", JSON.stringify({ format_version: 2, files: {} })],
  ["no files", JSON.stringify({ format_version: 1 })],
  ["a file without a hash", JSON.stringify({ format_version: 1, files: { a: { size: 1 } } })],
  ["a path that leads out", JSON.stringify({ format_version: 1, files: { "../a": { size: 1, blob_id: SHA1 } } })],
  ["an entry that is no object", JSON.stringify({ format_version: 1, files: { a: 3 } })],
])("%s is no listing, which is then asked for again", async (_, text) => {
  const texts = text === undefined ? {} : { [paths.tree(COMMIT)]: text };
  expect(await readListing(cacheOf(texts), paths, COMMIT)).toBeUndefined();
});

test("a cache that cannot be written to is no fault, one that cannot be read is", async () => {
  const broken = {
    readText: () => Promise.reject(new Error("no access")),
    writeText: () => Promise.reject(new Error("no room")),
  } as unknown as FileCache;
  await writeListing(broken, paths, COMMIT, FILES);
  await expect(readListing(broken, paths, COMMIT)).rejects.toThrow("no access");
});
