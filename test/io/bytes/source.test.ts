import { expect, test } from "vitest";
import { SourceError } from "../../../src/base/errors.js";
import { readAhead } from "../../../src/io/bytes/read-ahead.js";
import { blobSource, bytesSource, urlSource } from "../../../src/io/bytes/source.js";
import { RangeServer } from "../../support/range-server.js";
import { BYTES, expectSlice, URL } from "../../support/served-bytes.js";

test.each([
  ["blob", async () => blobSource(new Blob([BYTES]), "blob")],
  ["bytes", async () => bytesSource(BYTES, "bytes")],
  ["url", async () => urlSource(URL, new RangeServer(BYTES).options)],
  ["read-ahead", async () => readAhead(await urlSource(URL, new RangeServer(BYTES).options), 5_003)],
  ["url without ranges", async () => urlSource(URL, new RangeServer(BYTES, { ranges: false }).options)],
])("a %s source reads ranges and refuses those outside its size", async (_, open) => {
  const source = await open();
  expect(source.sizeBytes).toBe(BYTES.length);
  await expectSlice(source, 0, 10);
  await expectSlice(source, 65_530, 20);
  await expectSlice(source, 70_001, 100_000);
  await expectSlice(source, BYTES.length - 1, 1);
  await expectSlice(source, BYTES.length, 0);
  for (const [offset, length] of [
    [BYTES.length - 1, 2],
    [-1, 2],
    [0, -1],
    [0.5, 1],
    [Number.NaN, 1],
  ] as const) {
    await expect(source.read(offset, length)).rejects.toThrow(SourceError);
  }
  await source.close();
  await source.close();
  await expect(source.read(0, 1)).rejects.toThrow("an open source");
});

test("reads do not alias the bytes given", async () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const read = await bytesSource(bytes, "bytes").read(0, 3);
  bytes[0] = 9;
  expect([...read]).toEqual([1, 2, 3]);
});

test("a blob that cannot be read any more is a SourceError that keeps its cause", async () => {
  const blob = new Blob([BYTES]);
  const gone = new Error("NotReadableError");
  Object.defineProperty(blob, "slice", { value: () => ({ arrayBuffer: () => Promise.reject(gone) }) });
  const fault = await blobSource(blob, "gone")
    .read(0, 1)
    .catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(SourceError);
  expect((fault as SourceError).cause).toBe(gone);
});

test("a blob that gives fewer bytes than its size is truncated", async () => {
  const blob = new Blob([BYTES]);
  Object.defineProperty(blob, "slice", { value: () => new Blob([BYTES.slice(0, 3)]) });
  await expect(blobSource(blob, "short").read(0, 10)).rejects.toThrow("truncated");
});
