import { expect, test } from "vitest";
import { PreparedMedia } from "../../../src/models/llava-onevision/prepared-media.js";

type Tiles = { readonly segments: { readonly tiles: Uint8Array }[] };

/** Asks for a source's tiles; returns whether they were prepared. */
async function asks(cache: PreparedMedia<Tiles>, source: unknown, options: string, bytes = 10): Promise<boolean> {
  let prepared = false;
  await cache.of(source, options, async () => {
    prepared = true;
    return { segments: [{ tiles: new Uint8Array(bytes) }] };
  });
  return prepared;
}

test("a Blob is prepared once with the same options", async () => {
  const cache = new PreparedMedia<Tiles>();
  const blob = new Blob(["a"]);
  expect(await asks(cache, blob, "pad")).toBe(true);
  expect(await asks(cache, blob, "pad")).toBe(false);
  expect(await asks(cache, blob, "anyres")).toBe(true);
  expect(await asks(cache, new Blob(["a"]), "pad")).toBe(true);
  expect(cache.bytes).toBe(20);
});

test("bytes, whose content may change, are prepared each time", async () => {
  const cache = new PreparedMedia<Tiles>();
  const bytes = new Uint8Array(1);
  expect(await asks(cache, bytes, "pad")).toBe(true);
  expect(await asks(cache, bytes, "pad")).toBe(true);
  expect(cache.bytes).toBe(0);
});

test("the least recently used are evicted over the bound", async () => {
  const cache = new PreparedMedia<Tiles>(25);
  const [a, b, c] = [new Blob(), new Blob(), new Blob()];
  await asks(cache, a, "");
  await asks(cache, b, "");
  await asks(cache, a, "");
  await asks(cache, c, "");
  expect(cache.bytes).toBe(20);
  expect(await asks(cache, a, "")).toBe(false);
  expect(await asks(cache, b, "")).toBe(true);
  expect(await asks(cache, new Blob(), "", 26)).toBe(true);
  expect(cache.bytes).toBe(20);
});

test("a failure is not kept", async () => {
  const cache = new PreparedMedia<Tiles>();
  const blob = new Blob();
  await expect(cache.of(blob, "", () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(await asks(cache, blob, "")).toBe(true);
});
