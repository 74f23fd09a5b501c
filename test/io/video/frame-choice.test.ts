import { describe, expect, it } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { chooseFrames, type FrameChoice, uniformIndices } from "../../../src/io/video/frame-choice.js";
import { readFixtureJson } from "../../support/fixture.js";

const { frames: vectors } = await readFixtureJson<{ frames: { total: number; n: number; linspace: number[] }[] }>(
  "llava-onevision-vectors.json",
);

describe("uniformIndices", () => {
  it("is NumPy's linspace where there are enough frames, else every frame once", () => {
    expect(vectors.length).toBeGreaterThan(50);
    for (const { total, n, linspace } of vectors) {
      expect(uniformIndices(total, n), `${n} of ${total}`).toEqual(n < total ? linspace : [...Array(total).keys()]);
    }
  });
});

describe("chooseFrames", () => {
  const steady = Array.from({ length: 100 }, (_, i) => i / 25);
  const uneven = [0, 0.1, 0.5, 0.55, 2];

  it("takes 16 unless told otherwise, and never more than exist", () => {
    expect(chooseFrames(steady, {})).toEqual(uniformIndices(100, 16));
    expect(chooseFrames(steady, { frames: 8 })).toEqual([0, 14, 28, 42, 56, 70, 84, 99]);
    expect(chooseFrames(uneven, {})).toEqual([0, 1, 2, 3, 4]);
    expect(chooseFrames([7], { frames: 5 })).toEqual([0]);
  });

  it("keeps to the span, both ends included", () => {
    expect(chooseFrames(steady, { startSeconds: 1, endSeconds: 2, frames: 3 })).toEqual([25, 37, 50]);
    expect(chooseFrames(steady, { startSeconds: 3.9 })).toEqual([98, 99]);
    expect(chooseFrames(steady, { endSeconds: 0.08 })).toEqual([0, 1, 2]);
    expect(chooseFrames(steady, { startSeconds: -5, endSeconds: 99, frames: 2 })).toEqual([0, 99]);
  });

  it("takes the displayed frame if none begins in the span", () => {
    expect(chooseFrames(uneven, { startSeconds: 1, endSeconds: 1.5 })).toEqual([3]);
    expect(chooseFrames(uneven, { startSeconds: 1, endSeconds: 1.5, fps: 10 })).toEqual([3]);
  });

  it("takes the frame on display every 1/fps seconds, each once", () => {
    expect(chooseFrames(steady, { fps: 1 })).toEqual([0, 25, 50, 75]);
    expect(chooseFrames(steady, { fps: 2, startSeconds: 1, endSeconds: 2 })).toEqual([25, 37, 50]);
    expect(chooseFrames(uneven, { fps: 4 })).toEqual([0, 1, 2, 3, 4]);
    expect(chooseFrames(uneven, { fps: 1 })).toEqual([0, 3, 4]);
    expect(chooseFrames(steady, { fps: 1e15 })).toEqual(steady.map((_, i) => i));
    expect(chooseFrames(steady, { fps: 1e-9 })).toEqual([0]);
    // A third of a second and 30 frames a second are rounded differently.
    expect(
      chooseFrames(
        Array.from({ length: 31 }, (_, i) => Math.round((i / 30) * 1e6) / 1e6),
        { fps: 3 },
      ),
    ).toEqual([0, 10, 20, 30]);
  });

  it.each<[FrameChoice, RegExp]>([
    [{ frames: 4, fps: 1 }, /frames, fps/],
    [{ frames: 0 }, /whole number/],
    [{ frames: 2.5 }, /whole number/],
    [{ fps: 0 }, /above 0/],
    [{ fps: Number.NaN }, /above 0/],
    [{ startSeconds: Number.NaN }, /start.*time/],
    [{ startSeconds: 3, endSeconds: 2 }, /before the end/],
    [{ startSeconds: 60 }, /after its last frame/],
    [{ endSeconds: -1 }, /before its first frame/],
  ])("refuses %o", (choice, message) => {
    expect(() => chooseFrames(steady, choice)).toThrow(OptionError);
    expect(() => chooseFrames(steady, choice)).toThrow(message);
  });
});
