import { describe, expect, it } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { checkTrack, chooseTrack, decodableTimes, type VideoSample } from "../../../src/io/video/clip-index.js";
import { readClipIndex } from "../../../src/io/video/mp4.js";
import { readFrames } from "../../../src/io/video/video.js";
import { readFixture } from "../../support/fixture.js";
import { countingSource } from "../../support/mp4.js";

const track = (text: string, isEnabled = true) => ({ text, isEnabled });
const describeTrack = ({ text }: { text: string }) => text;

describe("the choice of a track", () => {
  it("takes the first enabled one, the first if none is, or the one asked for", () => {
    expect(chooseTrack([track("a", false), track("b"), track("c")], undefined, "clip", describeTrack)).toBe(1);
    expect(chooseTrack([track("a", false), track("b", false)], undefined, "clip", describeTrack)).toBe(0);
    expect(chooseTrack([track("a", false), track("b")], 0, "clip", describeTrack)).toBe(0);
    expect(() => chooseTrack([track("a", false), track("b")], 2, "clip", describeTrack)).toThrow(
      "clip, track: expected a video track from 0 to 1, got 2 — choose one of these: 0: a, disabled; 1: b",
    );
  });

  it.each([-1, 1.5, Number.NaN, "0", null])("refuses %s", (wanted) => {
    expect(() => checkTrack(wanted)).toThrow(OptionError);
  });

  it("is the same in an MP4, whose first track may be disabled", async () => {
    const bytes = await readFixture("media/videos/h264_two_tracks.mp4");
    const width = async (file: Uint8Array, wanted?: number) =>
      (await readClipIndex(countingSource(file, "clip"), "clip", undefined, wanted)).width;
    const [first, second] = [await width(bytes, 0), await width(bytes, 1)];
    expect(first).not.toBe(second);
    expect(await width(bytes)).toBe(first);
    const disabled = bytes.slice();
    const [one, other] = [placeOf(disabled, "tkhd"), placeOf(disabled, "tkhd", true)];
    disabled[one + 7]! &= ~1;
    disabled[other + 7]! |= 1;
    expect(await width(disabled)).toBe(second);
    expect(await width(disabled, 0)).toBe(first);
    await expect(width(bytes, 2)).rejects.toThrow("choose one of these: 0: avc1 128×96; 1: avc1 64×48, disabled");
  });

  it("is for files with tracks", async () => {
    const picture = { width: 1, height: 1, data: new Uint8Array(3) };
    await expect(readFrames([picture], { track: 0 }).next()).rejects.toThrow(/expected a file with video tracks/);
    const gif = await readFixture("media/images/gif_animated.gif");
    await expect(readFrames(gif, { track: 1 }).next()).rejects.toThrow(/track 0, the only video track/);
    expect((await readFrames(gif, { track: 0 }).next()).value).toMatchObject({ index: 0 });
  });
});

it("times of hidden samples, and of those before the first keyframe, are none", () => {
  const sample = (compositionTicks: number, isKeyframe: boolean, isHidden = false): VideoSample => ({
    ...{ offsetBytes: 0, sizeBytes: 1, compositionTicks, isKeyframe },
    ...(isHidden && { isHidden }),
  });
  const samples = [sample(0, false), sample(2, true), sample(1, false), sample(3, false, true), sample(4, false)];
  expect(decodableTimes(samples)).toEqual([Number.NaN, 2, Number.NaN, Number.NaN, 4]);
  expect(decodableTimes([])).toEqual([]);
});

/** Where the first or last box of that name has its type. */
function placeOf(bytes: Uint8Array, type: string, last = false): number {
  return bytes[last ? "findLastIndex" : "findIndex"]((_, i) =>
    [...type].every((letter, j) => bytes[i + j] === letter.charCodeAt(0)),
  );
}
