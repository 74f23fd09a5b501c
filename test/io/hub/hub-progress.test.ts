import { expect, test } from "vitest";
import type { HubFile } from "../../../src/io/hub/hub-names.js";
import { DownloadMeter, type DownloadProgress } from "../../../src/io/hub/hub-progress.js";

const SHA1 = "0123456789abcdef0123456789abcdef01234567";

test("the meter: rate over the last seconds, what an earlier run brought not among it", () => {
  const seen: DownloadProgress[] = [];
  let now = 1000;
  const meter = new DownloadMeter(
    (progress) => seen.push(progress),
    () => now,
  );
  const file = (path: string, sizeBytes: number): HubFile => ({ path, sizeBytes, hash: SHA1, gitHash: SHA1 });
  const [a, b] = [file("a", 10_000), file("b", 2_000)];
  meter.expect([a, b]);
  meter.at(a, 4_000, 0);
  expect(seen.at(-1)).toEqual({
    file: "a",
    loadedBytes: 4_000,
    totalBytes: 10_000,
    allLoadedBytes: 4_000,
    allTotalBytes: 12_000,
    bytesPerSecond: 0,
    secondsLeft: undefined,
  });
  now += 50;
  meter.at(a, 4_100, 100);
  expect(seen).toHaveLength(1);
  now += 950;
  meter.at(a, 5_000, 900);
  expect(seen.at(-1)).toMatchObject({ allLoadedBytes: 5_000, bytesPerSecond: 1_000, secondsLeft: 7 });
  now += 10_000;
  meter.at(b, 1_000, 1_000);
  // A pause of ten seconds: the last five brought 1000 bytes.
  expect(seen.at(-1)).toMatchObject({ file: "b", bytesPerSecond: 200, secondsLeft: 30 });
  meter.done(b);
  meter.done(a);
  expect(seen.at(-1)).toMatchObject({ loadedBytes: 10_000, allLoadedBytes: 12_000, secondsLeft: 0 });
});
