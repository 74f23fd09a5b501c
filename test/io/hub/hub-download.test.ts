import { describe, expect, test } from "vitest";
import { CheckpointError, NoRoomError } from "../../../src/base/errors.js";
import { HubClient } from "../../../src/io/hub/hub-client.js";
import { bytesToFetch, Downloads } from "../../../src/io/hub/hub-download.js";
import { CachePaths, type HubFile } from "../../../src/io/hub/hub-names.js";
import { DownloadMeter } from "../../../src/io/hub/hub-progress.js";
import type { FileCache } from "../../../src/platform/platform.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const paths = new CachePaths("/cache", "org/name");

/** Stands in for a hash: the sum of the bytes, of the length of a SHA-256. */
const sumOf = (bytes: Iterable<number>): string =>
  [...bytes]
    .reduce((sum, byte) => sum + byte, 0)
    .toString(16)
    .padStart(64, "0");

/** A cache in memory. */
function memory(files: Map<string, number[]>, freeBytes: number | undefined) {
  const cache = {
    moreRoom: "free some space",
    sizeOf: async (path: string) => files.get(path)?.length,
    freeBytes: async () => freeBytes,
    lock: async () => async () => undefined,
    remove: async (path: string) => void files.delete(path),
    link: async (target: string, path: string) => void files.set(path, files.get(target)!),
    rename: async (from: string, to: string) => {
      files.set(to, files.get(from)!);
      files.delete(from);
    },
    hasher: () => {
      const all: number[] = [];
      return { update: (bytes: Uint8Array) => void all.push(...bytes), digest: () => sumOf(all) };
    },
    openPartial: async (path: string) => {
      const held = files.get(path) ?? [];
      files.set(path, held);
      return {
        sizeBytes: held.length,
        read: async (at: number, length: number) => Uint8Array.from(held.slice(at, at + length)),
        write: async (bytes: Uint8Array, at: number) => void held.splice(at, bytes.length, ...bytes),
        truncate: async (length: number) => void held.splice(length),
        flush: async () => held.length,
        close: async () => undefined,
      };
    },
  };
  return cache as unknown as FileCache;
}

const CONTENT = [1, 2, 3, 4, 5, 6];
const FILE: HubFile = { path: "model.safetensors", sizeBytes: 6, hash: sumOf(CONTENT), gitHash: "a".repeat(40) };
const [blob, incomplete] = [paths.blob(FILE.hash), paths.incomplete(FILE.hash)];
const snapshot = paths.snapshot(COMMIT, FILE.path);

/** Downloads the file to a cache of the given files, from a hub that has the content; returns the ranges asked for. */
function downloading(files: Map<string, number[]>, content = CONTENT, freeBytes?: number) {
  const ranges: (string | null)[] = [];
  const fetch: typeof globalThis.fetch = async (_, init) => {
    const range = new Headers(init?.headers).get("range");
    ranges.push(range);
    const first = Number(/\d+/.exec(range ?? "")?.[0] ?? 0);
    const headers = { "Content-Range": `bytes ${first}-${content.length - 1}/${content.length}` };
    const body = Uint8Array.from(content.slice(first));
    return range ? new Response(body, { status: 206, headers }) : new Response(body);
  };
  const client = new HubClient("org/name", { endpoint: "https://hub.test", retryDelayMilliseconds: 0, fetch });
  const cache = memory(files, freeBytes);
  const downloads = new Downloads(cache, client, paths, COMMIT, new DownloadMeter(undefined), undefined);
  return { ranges, done: downloads.fetchAll([FILE]) };
}

describe("fetchAll", () => {
  test("puts a file into the cache under its hash and links it", async () => {
    const files = new Map<string, number[]>();
    const { ranges, done } = downloading(files);
    await done;
    expect(Object.fromEntries(files)).toEqual({ [blob]: CONTENT, [snapshot]: CONTENT });
    expect(ranges).toEqual([null]);
  });

  test("asks for nothing of a file that is there", async () => {
    const files = new Map([[blob, CONTENT]]);
    const { ranges, done } = downloading(files);
    await done;
    expect([ranges, files.get(snapshot)]).toEqual([[], CONTENT]);
  });

  test("goes on with what has arrived, and begins anew if that was wrong or too long", async () => {
    for (const [held, asked] of [
      [[1, 2], ["bytes=2-"]],
      [
        [9, 9],
        ["bytes=2-", null],
      ],
      [[1, 2, 3, 4, 5, 6, 7], [null]],
    ] as const) {
      const files = new Map([[incomplete, [...held]]]);
      const { ranges, done } = downloading(files);
      await done;
      expect(ranges, String(held)).toEqual(asked);
      expect([files.get(blob), files.has(incomplete)]).toEqual([CONTENT, false]);
    }
  });

  test("refuses bytes of another hash and keeps none of them", async () => {
    const files = new Map<string, number[]>();
    const { done } = downloading(files, [1, 2, 3, 4, 5, 7]);
    const error = await done.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toContain(
      `org/name on hub.test: model.safetensors: expected 6 bytes with the hash ${FILE.hash}, got 6 with ${sumOf([22])}`,
    );
    expect([...files.keys()]).toEqual([]);
  });

  test("refuses more bytes than are listed", async () => {
    const { done } = downloading(new Map(), [...CONTENT, 7]);
    await expect(done).rejects.toThrow("expected 6 bytes, as the repository lists");
  });

  test("asks for nothing where there is too little room, which counts what has arrived", async () => {
    const { ranges, done } = downloading(new Map([[incomplete, [1, 2]]]), CONTENT, 3);
    const error = await done.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NoRoomError);
    expect(error).toMatchObject({
      neededBytes: 4,
      freeBytes: 3,
      fault: { where: "/cache", remedy: "free some space" },
    });
    expect(ranges).toEqual([]);
    await downloading(new Map([[incomplete, [1, 2]]]), CONTENT, 4).done;
  });
});

test("what remains to be fetched leaves out blobs that are whole, and the part that has arrived", async () => {
  const rest = (files: [string, number[]][]) => bytesToFetch(memory(new Map(files), undefined), paths, [FILE]);
  expect(await rest([])).toBe(6);
  expect(await rest([[blob, CONTENT]])).toBe(0);
  expect(await rest([[blob, [1]]])).toBe(6);
  expect(await rest([[incomplete, [1, 2]]])).toBe(4);
  expect(await rest([[incomplete, [...CONTENT, 7, 8]]])).toBe(0);
});

test("a download whose hub falls silent goes on after the last byte", async () => {
  const files = new Map<string, number[]>();
  const ranges: (string | null)[] = [];
  const fetch: typeof globalThis.fetch = async (_, init) => {
    const range = new Headers(init?.headers).get("range");
    ranges.push(range);
    const first = Number(/\d+/.exec(range ?? "")?.[0] ?? 0);
    const headers = { "Content-Range": `bytes ${first}-5/6` };
    // Two bytes each time, then silence.
    const body = new ReadableStream({
      start: (stream) => {
        stream.enqueue(Uint8Array.from(CONTENT.slice(first, first + 2)));
        if (first >= 4) stream.close();
      },
    });
    return new Response(body, range ? { status: 206, headers } : {});
  };
  const options = { endpoint: "https://hub.test", retryDelayMilliseconds: 0, idleMilliseconds: 20, fetch };
  const client = new HubClient("org/name", options);
  await new Downloads(
    memory(files, undefined),
    client,
    paths,
    COMMIT,
    new DownloadMeter(undefined),
    undefined,
  ).fetchAll([FILE]);
  expect(ranges).toEqual([null, "bytes=2-", "bytes=4-"]);
  expect(files.get(blob)).toEqual(CONTENT);
});
