import { describe, expect, it } from "vitest";
import { platform } from "#platform";
import { MediaError } from "../../../src/base/errors.js";
import { applyOrientation } from "../../../src/io/pictures/orientation.js";
import { decodePng } from "../../../src/io/pictures/png.js";
import { uniformIndices } from "../../../src/io/video/frame-choice.js";
import { type Frame, readFrames, type VideoOptions } from "../../../src/io/video/video.js";
import { readFixture, readFixtureJson } from "../../support/fixture.js";
import { sha256 } from "../../support/pixels.js";

// The clips that people have, from cameras, recorders and converters: the frames that FFmpeg chooses at the same times.

interface TrueFrame {
  pts: number;
  width: number;
  height: number;
  sha256: string;
}

interface Truth {
  rotation_clockwise: number;
  frames: TrueFrame[];
  track1?: TrueFrame[];
}

interface Moment {
  pts: number;
}

const { files } = await readFixtureJson<{ files: Record<string, Truth> }>("clips/clips.json");
const media = await readFixtureJson<{
  files: Record<string, { frames: Moment[]; rgb_png?: { frame: number; file: string } }>;
}>("media/videos.json");

/** What the decoder of a runtime lacks. */
const REFUSED: Record<string, string[]> = {
  node: ["mpeg4_part2.mkv"],
  browser: ["mpeg4_part2.mkv", "hevc.mkv"],
};

async function framesOf(path: string, options: VideoOptions = {}): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of readFrames(await readFixture(path), { label: path, ...options })) frames.push(frame);
  return frames;
}

const hashes = (frames: readonly Frame[]): Promise<string[]> =>
  Promise.all(frames.map(({ picture }) => sha256(picture.data)));
const times = (frames: readonly Frame[]): number[] => frames.map(({ timestampSeconds }) => timestampSeconds!);

function expectTimes(frames: readonly Frame[], expected: readonly Moment[]): void {
  expect(frames).toHaveLength(expected.length);
  for (const [i, time] of times(frames).entries()) expect(Math.abs(time - expected[i]!.pts)).toBeLessThan(0.001);
}

/** The frame on display at each of `seconds`. */
const onDisplay = (frames: readonly TrueFrame[], seconds: readonly number[]): TrueFrame[] =>
  seconds.map((second) => frames.findLast(({ pts }) => pts <= second + 1e-6) ?? frames[0]!);

/** Every frame, those of a spread, and those on display 5 times a second. */
async function expectClip(path: string, truth: readonly TrueFrame[], options: VideoOptions = {}): Promise<void> {
  const all = await framesOf(path, { frames: 1000, rotation: "ignore", ...options });
  expectTimes(all, truth);
  expect(all.map(({ picture }) => [picture.width, picture.height])).toEqual(
    truth.map(({ width, height }) => [width, height]),
  );
  expect(await hashes(all)).toEqual(truth.map((frame) => frame.sha256));
  const spread = await framesOf(path, { frames: 4, rotation: "ignore", ...options });
  expect(await hashes(spread)).toEqual(uniformIndices(truth.length, 4).map((i) => truth[i]!.sha256));
  const [first, last] = [truth[0]!.pts, truth[truth.length - 1]!.pts];
  const moments = Array.from({ length: Math.floor((last - first) * 5 + 1e-3) + 1 }, (_, k) => first + k / 5);
  const expected = onDisplay(truth, moments).filter((frame, i, list) => frame !== list[i - 1]);
  const shown = await framesOf(path, { fps: 5, rotation: "ignore", ...options });
  expect(await hashes(shown)).toEqual(expected.map((frame) => frame.sha256));
}

/** A fixture of test/data/media: the times of all frames, and one of them to the pixel. */
async function expectMedia(name: string): Promise<void> {
  const truth = media.files[name]!;
  const frames = await framesOf(`media/videos/${name}`, { frames: 1000, rotation: "ignore" });
  expectTimes(frames, truth.frames);
  const { frame, file } = truth.rgb_png!;
  const png = await decodePng(await readFixture(`media/${file}`), file);
  expect(await sha256(frames[frame]!.picture.data)).toBe(await sha256(png.data));
}

async function expectTurned(path: string, { frames, rotation_clockwise }: Truth): Promise<void> {
  expect(rotation_clockwise).toBe(90);
  await expectClip(path, frames);
  const [stored] = await framesOf(path, { frames: 1, rotation: "ignore" });
  const [turned] = await framesOf(path, { frames: 1 });
  expect(await sha256(turned!.picture.data)).toBe(await sha256(applyOrientation(stored!.picture, 6).data));
}

async function expectAnimation(path: string): Promise<void> {
  const frames = await framesOf(path);
  expect(times(frames)).toEqual([0, 0.1, 0.2]);
  expect(new Set(await hashes(frames)).size).toBe(3);
  const [second] = await framesOf(path, { startSeconds: 0.1, endSeconds: 0.15 });
  expect(await sha256(second!.picture.data)).toBe(await sha256(frames[1]!.picture.data));
}

const clip = (name: string) => expectClip(`clips/${name}`, files[name]!.frames);

describe("ten kinds of clip", () => {
  it.each<[string, () => Promise<void>]>([
    ["MOV of a phone, turned", () => expectTurned("clips/phone.mov", files["phone.mov"]!)],
    ["WebM of a screen recorder, no duration, VP8", () => clip("recorded_vp8.webm")],
    ["WebM of a screen recorder, no duration, VP9", () => clip("recorded_vp9.webm")],
    ["MKV of OBS, H.264", () => clip("obs.mkv")],
    ["animated GIF", () => expectAnimation("media/images/gif_animated.gif")],
    ["animated WebP", () => expectAnimation("media/images/webp_animated.webp")],
    ["variable frame rate", () => expectMedia("h264_vfr.mp4")],
    ["edit list", () => expectMedia("h264_edit_trim.mp4")],
    ["fragmented MP4", () => expectMedia("h264_fragmented.mp4")],
    ["B-frames", () => expectMedia("h264_high_bframes.mp4")],
    ["AV1 in WebM", () => clip("recorded_av1.webm")],
  ])("%s", (_, check) => check());
});

describe("WebM and Matroska", () => {
  const names = Object.keys(files).filter((name) => /\.(webm|mkv)$/.test(name));
  const decoded = names.filter((name) => !REFUSED[platform.name]!.includes(name));

  it("is measured on all fixtures", () => expect(names).toHaveLength(14));

  it.each(decoded)("%s has FFmpeg's frames", async (name) => {
    const { frames, track1 } = files[name]!;
    // The reference takes the first video track, enabled or not.
    await expectClip(`clips/${name}`, frames, track1 && { track: 0 });
    if (!track1) return;
    await expectClip(`clips/${name}`, track1, { track: 1 });
    await expectClip(`clips/${name}`, track1);
  });

  it.each(names.filter((name) => !decoded.includes(name)))("%s is refused by the name of its codec", async (name) => {
    const refused = framesOf(`clips/${name}`);
    await expect(refused).rejects.toBeInstanceOf(MediaError);
    await expect(refused).rejects.toThrow(name === "hevc.mkv" ? /HEVC \(H\.265\)/ : /MPEG-4 part 2/);
  });

  it("turns frames as the projection says", () => expectTurned("clips/rotated90.mkv", files["rotated90.mkv"]!));
});
