import { expect, test } from "vitest";
import { AbortedError, SourceError } from "../../../src/base/errors.js";
import { readAhead } from "../../../src/io/bytes/read-ahead.js";
import { type ByteSource, blobSource, bytesSource, NotFoundError, urlSource } from "../../../src/io/bytes/source.js";
import { RangeServer } from "../../support/range-server.js";

const BYTES = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 255);
const URL = "https://host.test/model.safetensors";

async function expectSlice(source: ByteSource, offset: number, length: number): Promise<void> {
  const read = await source.read(offset, length);
  expect(read).toEqual(BYTES.slice(offset, offset + length));
  expect(read.byteOffset % 8).toBe(0);
}

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

test("the first request brings the size and the start of the file", async () => {
  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, { ...server.options, headers: { Authorization: "Bearer x" } });
  await source.read(0, 65_536);
  expect(server.requests.map((request) => request.range)).toEqual(["bytes=0-65535"]);
  expect(server.requests[0]?.authorization).toBe("Bearer x");
  await source.read(65_536, 4);
  expect(server.requests[1]?.range).toBe("bytes=65536-65539");
});

test("an empty file has size 0", async () => {
  const source = await urlSource(URL, new RangeServer(new Uint8Array()).options);
  expect(source.sizeBytes).toBe(0);
  expect(await source.read(0, 0)).toHaveLength(0);
});

test("a server without ranges is refused when the file is large, stated or not", async () => {
  for (const stated of [true, false]) {
    const server = new RangeServer(BYTES, { ranges: false, contentLength: stated });
    const opening = urlSource(URL, { ...server.options, wholeLimitBytes: 100_000 });
    await expect(opening).rejects.toThrow(/range requests/);
    expect(server.requests).toHaveLength(1);
  }
});

test("a hidden Content-Range is made up for by a HEAD request", async () => {
  const server = new RangeServer(BYTES, { contentRange: false });
  await expectSlice(await urlSource(URL, server.options), 100_000, 50);
  expect(server.requests[1]?.method).toBe("HEAD");
  const neither = new RangeServer(BYTES, { contentRange: false, contentLength: false });
  await expect(urlSource(URL, neither.options)).rejects.toThrow("the size of the file");
});

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

test("passing failures are tried again, lasting ones reported", async () => {
  const server = new RangeServer(BYTES);
  server.failures = [503, "network", 429];
  await expectSlice(await urlSource(URL, server.options), 100_000, 50);
  server.failures = [500, 500, 500, 500];
  await expect(urlSource(URL, server.options)).rejects.toThrow("status 500");
  server.failures = ["network", "network", "network", "network"];
  await expect(urlSource(URL, server.options)).rejects.toThrow("connection reset");
});

test("statuses that will not change are not tried again", async () => {
  for (const [status, words] of [
    [401, "authorization"],
    [403, "authorization"],
    [418, "status 418"],
  ] as const) {
    const server = new RangeServer(BYTES);
    server.failures = [status];
    await expect(urlSource(URL, server.options)).rejects.toThrow(words);
    expect(server.requests).toHaveLength(1);
  }
  for (const status of [404, 410]) {
    const server = new RangeServer(BYTES);
    server.failures = [status];
    await expect(urlSource(URL, server.options)).rejects.toBeInstanceOf(NotFoundError);
  }
});

test("a web page in place of the file counts as not found", async () => {
  for (const ranges of [true, false]) {
    const server = new RangeServer(BYTES, { ranges, contentType: "text/html; charset=utf-8" });
    await expect(urlSource(URL, server.options)).rejects.toBeInstanceOf(NotFoundError);
  }
});

test("a file that changes while it is read is refused", async () => {
  const server = new RangeServer(BYTES, { etag: '"one"' });
  const source = await urlSource(URL, server.options);
  server.behaviour.etag = '"two"';
  await expect(source.read(100_000, 10)).rejects.toThrow("another version");
  server.behaviour.etag = '"one"';
  await expectSlice(source, 100_000, 10);
  server.bytes = BYTES.slice(0, 150_000);
  await expect(source.read(100_000, 10)).rejects.toThrow("another version");
});

test("a server that answers another range is refused", async () => {
  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, server.options);
  server.behaviour.shift = 5;
  await expect(source.read(100_000, 10)).rejects.toThrow("byte 100005");
  server.behaviour.shift = 0;
  server.behaviour.ranges = false;
  await expect(source.read(100_000, 10)).rejects.toThrow("status 200");
});

test("an abort stops opening, reading and waiting for the next try", async () => {
  const aborted = AbortSignal.abort();
  await expect(urlSource(URL, { ...new RangeServer(BYTES).options, signal: aborted })).rejects.toThrow(AbortedError);
  await expect(bytesSource(BYTES, "bytes").read(0, 1, aborted)).rejects.toThrow(AbortedError);

  const server = new RangeServer(BYTES);
  const source = await urlSource(URL, { ...server.options, retryDelayMilliseconds: 1e6 });
  for (const failure of [503, "hang"] as const) {
    server.failures = [failure];
    const abort = new AbortController();
    const reading = source.read(100_000, 10, abort.signal);
    setTimeout(() => abort.abort(), 20);
    await expect(reading).rejects.toMatchObject({ name: "AbortError", code: "ABORTED" });
  }
});

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
