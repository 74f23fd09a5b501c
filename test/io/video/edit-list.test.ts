import { describe, expect, it } from "vitest";
import { applyEdits, type Edit } from "../../../src/io/video/edit-list.js";

describe("applyEdits", () => {
  const scales = { track: 100, movie: 1000 };
  const shown = (times: number[], ...edits: Edit[]) =>
    applyEdits(times, edits, scales).map(({ sample, timestampSeconds }) => [sample, timestampSeconds]);
  const edit = (durationTicks: number, mediaTime: number, rate = 1): Edit => ({ durationTicks, mediaTime, rate });

  it("shows everything at its own time without edits", () => {
    expect(shown([20, 0, 10])).toEqual([
      [1, 0],
      [2, 0.1],
      [0, 0.2],
    ]);
  });

  it("waits, trims, repeats and holds", () => {
    const times = [0, 10, 20, 30];
    expect(shown(times, edit(500, -1), edit(200, 10))).toEqual([
      [1, 0.5],
      [2, 0.6],
    ]);
    expect(shown(times, edit(0, 20))).toEqual([
      [2, 0],
      [3, 0.1],
    ]);
    expect(shown(times, edit(100, 0), edit(100, 0))).toEqual([
      [0, 0],
      [0, 0.1],
    ]);
    expect(shown(times, edit(1000, 15, 0), edit(100, 30))).toEqual([
      [1, 0],
      [3, 1],
    ]);
  });

  it("leaves out samples without a time", () => {
    expect(shown([Number.NaN, 5])).toEqual([[1, 0.05]]);
  });

  it("shows no more pictures than are allowed, however often a list repeats the track", () => {
    const times = Array.from({ length: 10 }, (_, i) => i);
    const list = Array.from({ length: 3 }, () => edit(0, 0));
    expect(applyEdits(times, list, scales, 30)).toHaveLength(30);
    expect(() => applyEdits(times, list, scales, 29)).toThrow("more than 29 pictures by the edit list");
  });
});
