import { describe, expect, it } from "vitest";
import { platform } from "#platform";
import { applyOrientation, type Orientation } from "../../src/io/exif.js";
import type { Pixels } from "../../src/io/resize.js";
import { decodePng } from "../../src/io/png.js";
import { type Frame, readFrames, type VideoInput, type VideoOptions } from "../../src/io/video.js";
import { AbortedError, MediaError, OptionError } from "../../src/runtime/errors.js";
import { readFixture, readFixtureJson } from "../support/fixture.js";
import { sha256 } from "../support/pixels.js";

interface TrueFrame {
  pts: number;
  code: number;
  mean: [number, number, number];
  thumb: string;
}

interface Truth {
  expect: "decode" | "refuse" | "decode or refuse";
  pix_fmt?: string;
  width?: number;
  height?: number;
  rotation_clockwise?: number;
  rgb_png?: { frame: number; file: string };
  thumb_grid: [columns: number, rows: number];
  frames: TrueFrame[];
}

const { files } = await readFixtureJson<{ files: Record<string, Truth> }>("media/videos.json");
const names = Object.keys(files);

/** Codecs that the decoder of a runtime lacks; a clip cut in the middle is refused in both. */
const REFUSED: Record<string, string[]> = {
  node: ["truncated_data.mp4"],
  browser: ["truncated_data.mp4", "hevc_hvc1.mp4", "hevc_hev1_10bit.mp4"],
};

/** Largest mean difference from the truth for frames that are not 8-bit 4:2:0 of even size. */
const MEAN_DIFFERENCE = 3;

const bytesOf = (name: string) => readFixture(`media/videos/${name}`);

async function framesOf(input: VideoInput, options: VideoOptions = {}): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of readFrames(input, options)) frames.push(frame);
  return frames;
}

/** The number in a frame's top band: 8 blocks, most significant bit left, white 1. */
function codeOf({ data, width, height }: Pixels): number {
  const bandRows = height >= 150 ? Math.floor((height * 70) / 360) : Math.floor((height * 20) / 96);
  let code = 0;
  for (let bit = 0; bit < 8; bit++) {
    const x = Math.floor(((bit + 0.5) * width) / 8);
    const green = data[((bandRows >> 1) * width + x) * 3 + 1]!;
    code = code * 2 + (green > 127 ? 1 : 0);
  }
  return code;
}

/** Mean R, G, B of a box. */
function meanOf({ data, width }: Pixels, x0: number, y0: number, x1: number, y1: number): number[] {
  const sums = [0, 0, 0];
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) for (let c = 0; c < 3; c++) sums[c]! += data[(y * width + x) * 3 + c]!;
  }
  return sums.map((sum) => sum / ((x1 - x0) * (y1 - y0)));
}

/** The mean colours of a grid of boxes, rounded half up. */
function thumbOf(picture: Pixels, [columns, rows]: [number, number]): number[] {
  const { width, height } = picture;
  const values: number[] = [];
  for (let row = 0; row < rows; row++) {
    const y0 = Math.floor((height * row) / rows);
    const y1 = Math.max(y0 + 1, Math.floor((height * (row + 1)) / rows));
    for (let column = 0; column < columns; column++) {
      const x0 = Math.floor((width * column) / columns);
      const x1 = Math.max(x0 + 1, Math.floor((width * (column + 1)) / columns));
      values.push(...meanOf(picture, x0, y0, x1, y1).map((mean) => Math.floor(mean + 0.5)));
    }
  }
  return values;
}

const hexBytes = (hex: string): number[] => (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));

const meanDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
};

async function refusal(input: VideoInput, options: VideoOptions = {}): Promise<Error> {
  return framesOf(input, options).then(
    (frames) => {
      throw new Error(`${options.label}: expected a refusal, got ${frames.length} frames`);
    },
    (error: Error) => error,
  );
}

describe("readFrames", () => {
  it("is measured on all fixtures", () => expect(names).toHaveLength(40));

  const decoded = names.filter((name) => files[name]!.expect !== "refuse" && !REFUSED[platform.name]!.includes(name));

  it.each(decoded)("%s has the reference's frames", async (name) => {
    const truth = files[name]!;
    const frames = await framesOf(await bytesOf(name), { label: name, frames: 1000, rotation: "ignore" });
    expect(frames.map((frame) => codeOf(frame.picture))).toEqual(truth.frames.map((frame) => frame.code));
    expect(frames.map((frame) => frame.index)).toEqual(truth.frames.map((_, i) => i));
    const exact = truth.pix_fmt!.match(/^yuvj?420p$/) && truth.width! % 2 === 0 && truth.height! % 2 === 0;
    for (const [i, { picture, timestampSeconds, count }] of frames.entries()) {
      const expected = truth.frames[i]!;
      expect(count).toBe(truth.frames.length);
      expect(Math.abs(timestampSeconds! - expected.pts)).toBeLessThan(0.001);
      expect([picture.width, picture.height]).toEqual([truth.width, truth.height]);
      const mean = meanOf(picture, 0, 0, picture.width, picture.height);
      const thumb = thumbOf(picture, truth.thumb_grid);
      if (exact) {
        expect(thumb).toEqual(hexBytes(expected.thumb));
        for (const [c, value] of mean.entries()) expect(Math.abs(value - expected.mean[c]!)).toBeLessThan(0.006);
      } else {
        expect(meanDifference(thumb, hexBytes(expected.thumb))).toBeLessThan(MEAN_DIFFERENCE);
        expect(meanDifference(mean, expected.mean)).toBeLessThan(MEAN_DIFFERENCE);
      }
    }
    if (truth.rgb_png) {
      const png = await decodePng(await readFixture(`media/${truth.rgb_png.file}`), name);
      const { picture } = frames[truth.rgb_png.frame]!;
      if (exact) expect(await sha256(picture.data)).toBe(await sha256(png.data));
      else expect(meanDifference(picture.data, png.data)).toBeLessThan(MEAN_DIFFERENCE);
    }
  });

  it.each(names.filter((name) => !decoded.includes(name)))("%s is refused", async (name) => {
    const started = performance.now();
    const error = await refusal(await bytesOf(name), { label: name });
    expect(error).toBeInstanceOf(MediaError);
    expect(error.message).toContain(name);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
