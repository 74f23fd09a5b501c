import { expect, test } from "vitest";
import { AbortedError } from "../../../src/base/errors.js";
import { bytesSource, NotFoundError, urlSource } from "../../../src/io/bytes/source.js";
import { RangeServer } from "../../support/range-server.js";
import { BYTES, expectSlice, URL } from "../../support/served-bytes.js";

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
