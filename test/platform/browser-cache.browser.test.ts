import { expect, test } from "vitest";
import { openCache, SCHEME } from "../../src/platform/browser-cache.js";

test("a text that another tab replaces meanwhile is read as it was or as it is", async () => {
  const cache = (await openCache())!;
  const path = `${SCHEME}ocellus-test/replaced`;
  const texts = Array.from({ length: 60 }, (_, i) => String(i).repeat(1 + (i % 7)));
  await cache.writeText(path, texts[0]!);
  await cache.link(path, `${path}-by-link`);
  let over = false;
  const writing = (async () => {
    for (const text of texts) await cache.writeText(path, text);
    over = true;
  })();
  let read = 0;
  while (!over) {
    for (const name of [path, `${path}-by-link`]) {
      expect(texts).toContain(await cache.readText(name));
      read++;
    }
    await cache.link(path, `${path}-by-link`);
  }
  await writing;
  expect(read).toBeGreaterThan(10);
  expect(await cache.readText(path)).toBe(texts.at(-1));
  await cache.removeFolder(`${SCHEME}ocellus-test`);
});
