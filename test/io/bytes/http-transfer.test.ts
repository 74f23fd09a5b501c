import { expect, test } from "vitest";
import { urlSource } from "../../../src/io/bytes/source.js";
import { RangeServer } from "../../support/range-server.js";
import { BYTES, expectSlice, URL } from "../../support/served-bytes.js";

test("an interrupted transfer resumes after the last received byte", async () => {
  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, server.options);
  // More cuts than a read has attempts: every one that brought bytes starts the count again.
  server.cutAfterBytes = [3000, 3000, 3000, 3000, 3000, 3000];
  await expectSlice(source, 66_000, 20_000);
  expect(server.requests.slice(1).map((request) => request.range)).toEqual([
    "bytes=66000-85999",
    "bytes=69000-85999",
    "bytes=72000-85999",
    "bytes=75000-85999",
    "bytes=78000-85999",
    "bytes=81000-85999",
    "bytes=84000-85999",
  ]);
});

test("a transfer that never brings its bytes is given up as truncated", async () => {
  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, server.options);
  server.cutAfterBytes = Array(20).fill(0);
  await expect(source.read(70_000, 10)).rejects.toThrow("truncated");
  expect(server.requests).toHaveLength(5);
});

test("a whole download that stops early is fetched again", async () => {
  const server = new RangeServer(BYTES, { ranges: false });
  server.cutAfterBytes = [1000];
  await expectSlice(await urlSource(URL, server.options), 150_000, 10);
  expect(server.requests).toHaveLength(2);
});
