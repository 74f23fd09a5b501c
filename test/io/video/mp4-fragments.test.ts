import { expect, it } from "vitest";
import { BoxReader } from "../../../src/io/video/mp4-boxes.js";
import { IndexBudget } from "../../../src/io/video/mp4-budget.js";
import { readFragment, readTrackDefaults } from "../../../src/io/video/mp4-fragments.js";
import { SampleList } from "../../../src/io/video/mp4-samples.js";
import { box, fullBox, u32, u64 } from "../../support/mp4.js";

const FILE_BYTES = 10_000;
const OURS = 1;

/** Track 1: 10 ticks and 5 bytes a sample, no keyframe. */
const trex = fullBox("trex", 0, 0, u32(OURS), u32(1), u32(10), u32(5), u32(0x10000));
const tfhd = (flags: number, ...fields: number[][]) => fullBox("tfhd", 0, flags, u32(OURS), fields.flat());
const trun = (version: number, flags: number, count: number, ...fields: number[][]) =>
  fullBox("trun", version, flags, u32(count), fields.flat());

/** The samples of a fragment at byte 1000: offset, size, composition time, keyframe. */
function samplesOf(...trafs: Uint8Array[][]): [number, number, number, boolean][] {
  const budget = new IndexBudget("clip", FILE_BYTES);
  const list = new SampleList("clip", FILE_BYTES);
  const mvex = new BoxReader(box("mvex", trex), 0, "clip", budget);
  const moof = box("moof", ...trafs.map((boxes) => box("traf", ...boxes)));
  const defaults = readTrackDefaults(mvex, mvex.outer);
  readFragment(new BoxReader(moof, 1000, "clip", budget), OURS, defaults, list);
  return list.samples.map((s) => [s.offsetBytes, s.sizeBytes, s.compositionTicks, s.isKeyframe]);
}

it("takes defaults of the movie, of the fragment, and what rows say", () => {
  expect(samplesOf([tfhd(0x20000), trun(0, 1, 2, u32(100))])).toEqual([
    [1100, 5, 0, false],
    [1105, 5, 10, false],
  ]);
  const header = tfhd(0x3b, u64(50), u32(1), u32(7), u32(6), u32(0));
  expect(samplesOf([header, fullBox("tfdt", 1, 0, u64(2 ** 40)), trun(0, 4, 2, u32(0x10000))])).toEqual([
    [50, 6, 2 ** 40, false],
    [56, 6, 2 ** 40 + 7, true],
  ]);
  const all = [...u32(3), ...u32(4), ...u32(0), ...u32(0xffffffff)];
  for (const version of [0, 1]) {
    expect(samplesOf([tfhd(0x20000), fullBox("tfdt", 0, 0, u32(9)), trun(version, 0xf00, 2, all, all)])).toEqual([
      [1000, 4, 8, true],
      [1004, 4, 11, true],
    ]);
  }
});

it("continues after the previous run, even of another track", () => {
  const other = fullBox("tfhd", 0, 0, u32(2));
  const sized = trun(0, 0x201, 2, u32(300), u32(20), u32(30));
  expect(samplesOf([other, sized], [tfhd(0), trun(0, 0, 1), trun(0, 0, 1)])).toEqual([
    [1350, 5, 0, false],
    [1355, 5, 10, false],
  ]);
});

it("refuses counts without rows or bytes behind them, and cut boxes", () => {
  const refusal = (...boxes: Uint8Array[]) => expect(() => samplesOf(boxes));
  refusal(tfhd(0), trun(0, 0, 2 ** 22)).toThrow(/"trun" at byte 1032: expected samples with bytes, within the 10000/);
  refusal(tfhd(0x10, u32(0)), trun(0, 0, 1)).toThrow(/got 1 samples of 0 bytes/);
  refusal(tfhd(0), trun(0, 0x200, 0xffffffff)).toThrow(/expected 4294967295 rows of 4 bytes, got 0 bytes/);
  refusal(tfhd(0), fullBox("trun", 0, 5, u32(1), u32(1))).toThrow(/a body of at least 16 bytes, got 12 bytes/);
  refusal(fullBox("tfhd", 0, 0x3b, u32(OURS))).toThrow(/"tfhd".*a body of at least 16 bytes/);
  refusal(tfhd(0), fullBox("tfdt", 2, 0, u32(1))).toThrow(/"tfdt".*version 0 or 1, got 2/);
  refusal(tfhd(0), fullBox("tfdt", 1, 0, u32(1))).toThrow(/"tfdt".*a body of at least 12 bytes/);
  refusal(trun(0, 0, 1)).toThrow(/"traf" at byte 1008: expected a box "tfhd", got none/);
  // Those of other tracks cost nothing.
  expect(
    samplesOf([fullBox("tfhd", 0, 0, u32(2)), trun(0, 0, 0xffffffff)], [tfhd(0x20000), trun(0, 0, 1)]),
  ).toHaveLength(1);
});
