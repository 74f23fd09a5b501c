import { describe, expect, it } from "vitest";
import { planReads, planRuns } from "../../../src/io/video/decode-plan.js";
import { clipOf } from "../../support/clip-of.js";

describe("planRuns", () => {
  // I P B B | I P B B, in decode order.
  const closedGroups = clipOf([0, 3, 1, 2, 4, 7, 5, 6], [0, 4]);

  it("decodes from the keyframe to the last wanted sample, one run a group", () => {
    expect(planRuns(closedGroups, [1])).toEqual([{ samples: [0, 1, 2], displayed: [0, 2, 1], wanted: new Set([2]) }]);
    expect(planRuns(closedGroups, [0, 3, 4]).map(({ samples }) => samples)).toEqual([[0, 1], [4]]);
    expect(planRuns(closedGroups, [2, 1].sort()).map(({ samples }) => samples)).toEqual([[0, 1, 2, 3]]);
  });

  it("starts a group earlier for pictures shown before their keyframe, and leaves those out that need it", () => {
    // I P | I b b P: the two after the second keyframe are shown before it.
    const open = clipOf([0, 1, 4, 2, 3, 5], [0, 2]);
    expect(planRuns(open, [2]).map(({ samples }) => samples)).toEqual([[0, 1, 2, 3]]);
    expect(planRuns(open, [5])).toEqual([{ samples: [2, 5], displayed: [2, 5], wanted: new Set([5]) }]);
    expect(planRuns(open, [0, 3, 5]).map(({ samples }) => samples)).toEqual([[0, 1, 2, 3, 4, 5]]);
  });

  it("follows an edit list that goes back, and shows a sample twice", () => {
    const repeated = clipOf([0, 1, 2], [0], [1, 2, 0, 1, 1]);
    const runs = planRuns(repeated, [0, 1, 2, 3, 4]);
    expect(runs.map(({ wanted }) => [...wanted])).toEqual([
      [1, 2],
      [0, 1],
    ]);
  });
});

describe("planReads", () => {
  it("joins neighbours, reads over small gaps, and keeps reads short", () => {
    const samples = [
      [0, 100],
      [100, 50],
      [1150, 50],
      [10_000, 10],
      [5000, 10],
      [5010, 2 ** 20],
      [2 ** 21, 5],
    ].map(([offsetBytes, sizeBytes]) => ({
      offsetBytes: offsetBytes!,
      sizeBytes: sizeBytes!,
      compositionTicks: 0,
      isKeyframe: true,
    }));
    const reads = planReads(samples, [0, 1, 2, 3, 4, 5, 6]);
    expect(reads.map(({ offsetBytes, lengthBytes, samples }) => [offsetBytes, lengthBytes, samples])).toEqual([
      [0, 1200, [0, 1, 2]],
      [10_000, 10, [3]],
      [5000, 10, [4]],
      [5010, 2 ** 20, [5]],
      [2 ** 21, 5, [6]],
    ]);
  });
});
