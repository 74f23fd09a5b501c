import { expect, it } from "vitest";
import { BlockTable } from "../../../src/io/video/matroska-blocks.js";

const filled = (ticks: readonly number[], table = new BlockTable(1000, "clip")): BlockTable => {
  for (const [i, time] of ticks.entries()) table.add({ offsetBytes: i, sizeBytes: 1, ticks: time }, i === 0, false);
  return table;
};
const times = (table: BlockTable): number[] => table.samples().map(({ compositionTicks }) => compositionTicks);

it("keeps blocks beyond its first capacity", () => {
  const table = filled(Array.from({ length: 1000 }, (_, i) => i));
  expect(table.length).toBe(1000);
  expect(table.samples()[999]).toEqual({ offsetBytes: 999, sizeBytes: 1, compositionTicks: 999, isKeyframe: false });
});

it("lets a recording follow the last one at its pace where times go back, and keeps later times", () => {
  const table = filled([0, 40, 80]);
  table.beginRecording();
  filled([0, 40], table);
  expect(times(table)).toEqual([0, 40, 80, 120, 160]);
  table.beginRecording();
  filled([1000, 1040], table);
  expect(times(table).slice(5)).toEqual([1000, 1040]);
});

it("takes the first block as the keyframe where none is marked", () => {
  const table = new BlockTable(1000, "clip");
  for (let i = 0; i < 3; i++) table.add({ offsetBytes: i, sizeBytes: 1, ticks: i }, false, i === 1);
  expect(table.samples().map(({ isKeyframe, isHidden }) => [isKeyframe, isHidden])).toEqual([
    [true, undefined],
    [false, true],
    [false, undefined],
  ]);
});

it("takes more blocks from a larger file, and no more than that", () => {
  const most = (fileBytes: number): number => {
    const table = new BlockTable(fileBytes, "clip");
    try {
      for (;;) table.add({ offsetBytes: 0, sizeBytes: 1, ticks: 0 }, true, false);
    } catch {
      return table.length;
    }
  };
  expect(most(0)).toBeGreaterThan(100_000);
  expect(most(32_000_000) - most(0)).toBe(300_000);
});
