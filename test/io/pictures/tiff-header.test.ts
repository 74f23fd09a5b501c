import { expect, it } from "vitest";
import { readTiffHeader } from "../../../src/io/pictures/tiff-header.js";

type Entry = readonly [tag: number, type: 3 | 4, count: number, value: number];

/** A TIFF, or BigTIFF, of one directory; `after` follows it. */
function tiff(little: boolean, big: boolean, entries: readonly Entry[], after: readonly number[] = []): Uint8Array {
  const [countBytes, entryBytes, first] = big ? [8, 20, 16] : [2, 12, 8];
  const bytes = new Uint8Array(first + countBytes + entries.length * entryBytes + 8 + after.length);
  bytes.set(after, bytes.length - after.length);
  const view = new DataView(bytes.buffer);
  const put = (at: number, value: number) =>
    big ? view.setBigUint64(at, BigInt(value), little) : view.setUint32(at, value, little);
  bytes.fill(little ? 0x49 : 0x4d, 0, 2);
  view.setUint16(2, big ? 43 : 42, little);
  put(big ? 8 : 4, first);
  if (big) view.setBigUint64(first, BigInt(entries.length), little);
  else view.setUint16(first, entries.length, little);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    const at = first + countBytes + i * entryBytes;
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    put(at + 4, count);
    const place = at + (big ? 12 : 8);
    if (type === 3 && count === 1) view.setUint16(place, value, little);
    else if (count === 1) view.setUint32(place, value, little);
    else put(place, value);
  }
  return bytes;
}

it.each([
  [true, false],
  [false, false],
  [true, true],
  [false, true],
])("the tags of the first picture are read; little-endian %s, BigTIFF %s", (little, big) => {
  const bytes = tiff(little, big, [
    [256, 4, 1, 70_000],
    [257, 3, 1, 300],
    [257, 3, 1, 9],
    [262, 3, 1, 2],
    [999, 3, 1, 5],
  ]);
  expect(readTiffHeader(bytes)).toEqual({ width: 70_000, height: 300, photometric: 2 });
});

it("of several values that lie elsewhere the first is read, and none beyond the file", () => {
  const entries = (place: number): Entry[] => [[258, 3, 3, place]];
  const after = [16, 0, 8, 0];
  const length = tiff(true, false, entries(0), after).length;
  expect(readTiffHeader(tiff(true, false, entries(length - 4), after))).toEqual({ bits: 16 });
  expect(readTiffHeader(tiff(true, false, entries(length - 3), after))).toEqual({});
});

it("a header that is cut or says no size gives what there is", () => {
  const bytes = tiff(true, false, [
    [256, 3, 1, 4],
    [257, 3, 1, 5],
  ]);
  expect(readTiffHeader(bytes.subarray(0, 15))).toBeUndefined();
  expect(readTiffHeader(bytes.subarray(0, 30))).toEqual({ width: 4 });
  new DataView(bytes.buffer).setUint32(4, 1e9, true);
  expect(readTiffHeader(bytes)).toBeUndefined();
});
