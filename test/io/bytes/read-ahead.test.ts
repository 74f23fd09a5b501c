import { expect, test } from "vitest";
import { SourceError } from "../../../src/base/errors.js";
import { readAhead } from "../../../src/io/bytes/read-ahead.js";
import { urlSource } from "../../../src/io/bytes/source.js";
import { RangeServer } from "../../support/range-server.js";
import { BYTES, expectSlice, URL } from "../../support/served-bytes.js";

test("reading ahead serves small reads in order from few requests, and drops a window that failed", async () => {
  const server = new RangeServer(BYTES);
  const source = readAhead(await urlSource(URL, server.options), 40_000);
  await Promise.all([0, 1, 2, 3].map((i) => expectSlice(source, 70_000 + i * 9_999, 9_999)));
  expect(server.requests.slice(1).map(({ range }) => range)).toEqual(["bytes=70000-109999"]);
  await expectSlice(source, 70_000, 40_000);
  await expectSlice(source, 70_000, 40_001);
  await expectSlice(source, 190_000, 10_000);
  expect(server.requests.slice(2).map(({ range }) => range)).toEqual(["bytes=70000-110000", "bytes=190000-199999"]);
  server.failures = [404];
  await expect(source.read(120_000, 5)).rejects.toThrow(SourceError);
  await expectSlice(source, 120_000, 5);
  await source.close();
  await expect(source.read(120_000, 5)).rejects.toThrow("closed");
});
