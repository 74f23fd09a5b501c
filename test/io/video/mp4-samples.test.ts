import { describe, expect, it } from "vitest";
import { BoxReader } from "../../../src/io/video/mp4-boxes.js";
import { IndexBudget } from "../../../src/io/video/mp4-budget.js";
import { readSampleTable, SampleList } from "../../../src/io/video/mp4-samples.js";
import { box, fullBox, u16, u32 } from "../../support/mp4.js";

const FILE_BYTES = 10_000;

/** The samples of a table in a file of that size: offset, size, composition time, keyframe. */
function samplesOf(tables: Uint8Array[], fileBytes = FILE_BYTES): [number, number, number, boolean][] {
  const reader = new BoxReader(box("stbl", ...tables), 0, "clip", new IndexBudget("clip", fileBytes));
  const list = new SampleList("clip", fileBytes);
  readSampleTable(reader, reader.outer, list);
  return list.samples.map((s) => [s.offsetBytes, s.sizeBytes, s.compositionTicks, s.isKeyframe]);
}

const rows = (type: string, ...values: number[][]) =>
  fullBox(
    type,
    0,
    0,
    u32(values.length),
    values.flatMap((row) => row.flatMap((value) => u32(value >>> 0))),
  );
const sizes = (...values: number[]) => fullBox("stsz", 0, 0, u32(0), u32(values.length), values.flatMap(u32));
const constant = (size: number, count: number) => fullBox("stsz", 0, 0, u32(size), u32(count));
const stts = (count: number, duration = 10) => rows("stts", [count, duration]);
const oneChunk = (samples: number) => [rows("stsc", [1, samples, 1]), rows("stco", [100])];

describe("readSampleTable", () => {
  it("follows runs of chunks, durations and offsets", () => {
    const table = [
      sizes(5, 6, 7, 8, 9),
      rows("stts", [2, 10], [0, 99], [3, 20]),
      rows("ctts", [1, 5], [4, -3]),
      rows("stss", [1], [4], [77]),
      rows("stsc", [1, 2, 1], [2, 1, 1], [3, 9, 1]),
      rows("stco", [100], [200], [300]),
    ];
    expect(samplesOf(table)).toEqual([
      [100, 5, 5, true],
      [105, 6, 7, false],
      [200, 7, 17, false],
      [300, 8, 37, true],
      [308, 9, 57, false],
    ]);
  });

  it("takes constant sizes, and compact ones of 4, 8 and 16 bits", () => {
    const offsets = (...table: Uint8Array[]) =>
      samplesOf([...table, stts(3), ...oneChunk(3)]).map(([offset, size]) => [offset, size]);
    expect(offsets(constant(7, 3))).toEqual([
      [100, 7],
      [107, 7],
      [114, 7],
    ]);
    const compact = (bits: number, ...body: number[]) => fullBox("stz2", 0, 0, u32(bits), u32(3), body);
    const wanted = [
      [100, 1],
      [101, 2],
      [103, 15],
    ];
    expect(offsets(compact(4, 0x12, 0xf0))).toEqual(wanted);
    expect(offsets(compact(8, 1, 2, 15))).toEqual(wanted);
    expect(offsets(compact(16, ...u16(1), ...u16(2), ...u16(15)))).toEqual(wanted);
    expect(() => offsets(compact(5, 1, 2, 3))).toThrow(/"stz2".*sizes of 4, 8 or 16 bits, got 5 bits/);
    expect(() => offsets(compact(16, ...u16(1), ...u16(2)))).toThrow(/"stz2".*3 rows of 2 bytes, got room for 2/);
  });

  it("leaves out samples without bytes and keeps the time they take", () => {
    expect(samplesOf([sizes(5, 0, 6), stts(3), ...oneChunk(3)])).toEqual([
      [100, 5, 0, true],
      [105, 6, 20, true],
    ]);
  });

  it("takes the first of several tables, and none for none", () => {
    expect(samplesOf([sizes(5), sizes(1, 2, 3), stts(1), ...oneChunk(1)])).toHaveLength(1);
    expect(samplesOf([])).toEqual([]);
    expect(samplesOf([sizes()])).toEqual([]);
  });

  it.each([
    ["stsz", [fullBox("stsz", 0, 0, u32(0), u32(4), u32(1))], "4 rows of 4 bytes, got room for 1"],
    ["stsz", [fullBox("stsz", 0, 0, u32(0))], "a body of at least 12 bytes, got 8 bytes"],
    ["stsz", [constant(1, 0xffffffff)], "samples with bytes, within the 10000 bytes of the file, got 4294967295"],
    ["stbl", [sizes(5, 5), ...oneChunk(2)], 'a row of "stts" for each of 2 samples, got fewer'],
    ["stbl", [sizes(5, 5, 5), stts(1), ...oneChunk(3)], 'a row of "stts" for each'],
    ["stbl", [sizes(5, 5), stts(2), rows("stco", [100])], 'a row of "stsc" for each'],
    ["stbl", [sizes(5, 5), stts(2), rows("stsc", [2, 9, 1]), rows("stco", [100])], 'a row of "stsc" for each'],
    ["stbl", [sizes(5, 5), stts(2), rows("stsc", [1, 1, 1]), rows("stco", [100])], 'a row of "stco" for each'],
    ["stbl", [sizes(5, 5), stts(2), ...oneChunk(2), rows("ctts", [1, 0])], 'a row of "ctts" for each'],
    ["stts", [sizes(5), fullBox("stts", 0, 0, u32(0xffffffff)), ...oneChunk(1)], "4294967295 rows of 8 bytes"],
    ["stss", [sizes(5), stts(1), ...oneChunk(1), fullBox("stss", 0, 0, u32(9))], "9 rows of 4 bytes"],
    ["stsc", [sizes(5), stts(1), fullBox("stsc", 0, 0, u32(9)), rows("stco", [1])], "9 rows of 12 bytes"],
  ])("refuses a %s that is too short for what it says: %#", (type, tables, message) => {
    expect(() => samplesOf(tables)).toThrow(new RegExp(`^clip, box "${type}" at byte \\d+: expected ${message}`));
  });

  it("refuses samples over each other, second descriptions, and more samples than a file of that size has", () => {
    const overlapping = [sizes(4000, 4000, 4000), stts(3), rows("stsc", [1, 1, 1]), rows("stco", [0], [0], [0])];
    expect(() => samplesOf(overlapping)).toThrow(/sample 3: expected samples that lie side by side/);
    // In a file that is cut they may lie beyond its end.
    const cut = [sizes(4000, 4000, 4000), stts(3), rows("stsc", [1, 1, 1]), rows("stco", [0], [4000], [8000])];
    expect(samplesOf(cut)).toHaveLength(3);
    const second = [sizes(5, 5), stts(2), rows("stsc", [1, 1, 1], [2, 1, 2]), rows("stco", [0], [5])];
    expect(() => samplesOf(second)).toThrow(/sample 2: expected one sample description for the whole track/);
    const many = [constant(1, 400_000), stts(400_000), ...oneChunk(400_000)];
    expect(() => samplesOf(many, 500_000)).toThrow(/at most 172772 entries in the index of a file of 500000 bytes/);
  });
});
