import { describe, expect, it } from "vitest";
import { platform } from "#platform";
import { AbortedError, MediaError, OptionError } from "../../../src/base/errors.js";
import { applyOrientation, type Orientation } from "../../../src/io/pictures/orientation.js";
import { decodePng } from "../../../src/io/pictures/png.js";
import type { Pixels } from "../../../src/io/pictures/resize.js";
import { readClipIndex } from "../../../src/io/video/mp4.js";
import { type Frame, readFrames, type VideoInput, type VideoOptions } from "../../../src/io/video/video.js";
import { readFixture, readFixtureJson } from "../../support/fixture.js";
import { countingSource } from "../../support/mp4.js";
import { sha256 } from "../../support/pixels.js";
import { random } from "../../support/random.js";

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

/** SHA-256 of each picture of an animation as Pillow gives it: `seek(i)`, then `convert("RGB")`. */
const ANIMATED = {
  "gif_animated.gif": [
    "031a48122fe69c637444de1b93d2c0d0078e56607b5371eccaada9b411740576",
    "bb20ff60eefe37f30e1001e30b977bb712ad99f85e039d771e1f78f0e67ae284",
    "4d2a2a458aee1664f215576ca65d3386eb15fe5a25269cf2b401e69a798a7a6f",
  ],
  "webp_animated.webp": [
    "dcacc8c673411203714bbbfdd277609fd90ce81c750b54c9709c270f0f4ccf3b",
    "63ad9dd6dc8ad4acbb6f19b0a29db84a408490d7f2a26ced9a3b8483ac761342",
    "cc69552df0f5ff338887ce7ce309434219a46199074c62b66628a31738d10ee8",
  ],
};

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
    const error = await refusal(await bytesOf(name), { label: name });
    expect(error).toBeInstanceOf(MediaError);
    expect(error.message).toContain(name);
  });

  it("takes the frames that the rule names, wherever their groups are", async () => {
    const bytes = await bytesOf("h264_640x360_90.mp4");
    const frames = await framesOf(bytes, { label: "clip" });
    const expected = Array.from({ length: 16 }, (_, i) => Math.floor(i * (89 / 15)));
    expect(frames.map(({ index }) => index)).toEqual(expected);
    expect(frames.map(({ picture }) => codeOf(picture))).toEqual(expected);
    expect(frames[1]!.picture.label).toBe("clip, frame 6");
    const seconds = await framesOf(bytes, { fps: 1 });
    expect(seconds.map(({ picture }) => codeOf(picture))).toEqual([0, 30, 60]);
    const span = await framesOf(bytes, { startSeconds: 1, endSeconds: 2, frames: 3 });
    expect(span.map(({ picture }) => codeOf(picture))).toEqual([30, 45, 60]);
    expect(span.map(({ timestampSeconds }) => timestampSeconds)).toEqual([1, 1.5, 2]);
  });

  it("reads only the groups of pictures it needs", async () => {
    const source = countingSource(await bytesOf("h264_640x360_90.mp4"), "clip");
    const [frame] = await framesOf(source, { startSeconds: 2.1, endSeconds: 2.1, frames: 1 });
    expect(codeOf(frame!.picture)).toBe(63);
    const clip = await readClipIndex(source, "clip");
    const keys = clip.samples.flatMap(({ isKeyframe, offsetBytes }) => (isKeyframe ? [offsetBytes] : []));
    const wanted = clip.samples[clip.frames[63]!.sample]!;
    const start = Math.max(...keys.filter((offset) => offset <= wanted.offsetBytes));
    const media = source.reads.filter(({ lengthBytes }) => lengthBytes !== 4096 && lengthBytes !== 16);
    expect(media).toContainEqual({ offsetBytes: start, lengthBytes: wanted.offsetBytes + wanted.sizeBytes - start });
  });

  it.each([90, 180, 270])("turns frames by %i degrees as a player does, unless told not to", async (degrees) => {
    const name = `h264_rotate${degrees}.mp4`;
    expect(files[name]!.rotation_clockwise).toBe(degrees);
    const bytes = await bytesOf(name);
    const [stored] = await framesOf(bytes, { frames: 1, rotation: "ignore" });
    const [turned] = await framesOf(bytes, { frames: 1 });
    const orientation = { 90: 6, 180: 3, 270: 8 }[degrees] as Orientation;
    const expected = applyOrientation(stored!.picture, orientation);
    expect([turned!.picture.width, turned!.picture.height]).toEqual(degrees === 180 ? [128, 96] : [96, 128]);
    expect(await sha256(turned!.picture.data)).toBe(await sha256(expected.data));
  });

  it("reads a cut file as far as it goes", async () => {
    const frames = await framesOf(await bytesOf("truncated_data.mp4"), { frames: 3, endSeconds: 0.2 });
    expect(frames.map(({ picture }) => codeOf(picture))).toEqual([0, 2, 5]);
    const error = await refusal(await bytesOf("truncated_data.mp4"), { label: "cut.mp4" });
    expect(error.message).toMatch(/cut\.mp4, sample \d+ of 24.*ends at 4921/);
  });

  it("names a codec it cannot decode, and what would help", async () => {
    const error = await refusal(await bytesOf("mpeg4_part2.mp4"), { label: "old.mp4" });
    expect(error.message).toMatch(/old\.mp4.*MPEG-4 part 2.*ffmpeg/);
  });

  it("refuses or decodes a stream with changed bytes, and never hangs", async () => {
    const bytes = await bytesOf("h264_faststart.mp4");
    const next = random(11);
    for (let i = 0; i < 20; i++) {
      const changed = bytes.slice();
      for (let k = 0; k < 20; k++) changed[1800 + Math.floor(next() * (bytes.length - 1800))] = next() * 256;
      await framesOf(changed, { label: "changed" }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(MediaError);
      });
    }
  });

  it("takes a Blob", async () => {
    const blob = new Blob([(await bytesOf("h264_one_frame.mp4")) as Uint8Array<ArrayBuffer>]);
    const [frame] = await framesOf(blob);
    expect(codeOf(frame!.picture)).toBe(0);
    expect(frame!.picture.label).toBe("video, frame 1");
  });

  it("takes pictures as frames, all of them or evenly spread", async () => {
    const pictures = Array.from({ length: 20 }, (_, i) => ({ width: 1, height: 1, data: Uint8Array.of(i, i, i) }));
    async function* live() {
      yield* pictures;
    }
    const levels = async (input: VideoInput, options?: VideoOptions) =>
      (await framesOf(input, options)).map(({ picture, index, count }) => [picture.data[0], index, count]);
    expect(await levels(pictures)).toEqual(pictures.map((_, i) => [i, i, 20]));
    expect(await levels(live(), { frames: 3 })).toEqual([
      [0, 0, 3],
      [9, 9, 3],
      [19, 19, 3],
    ]);
    expect((await framesOf(pictures))[0]!.timestampSeconds).toBeUndefined();
    expect(await refusal(pictures, { fps: 1 })).toBeInstanceOf(OptionError);
    expect(await refusal([])).toBeInstanceOf(OptionError);
  });

  it.each(Object.entries(ANIMATED))("%s gives its pictures, composed", async (name, hashes) => {
    const frames = await framesOf(await readFixture(`media/images/${name}`), { label: name });
    expect(frames.map(({ timestampSeconds }) => timestampSeconds)).toEqual([0, 0.1, 0.2]);
    expect(frames.map(({ picture }) => [picture.width, picture.height])).toEqual([0, 1, 2].map(() => [60, 44]));
    expect(await Promise.all(frames.map(({ picture }) => sha256(picture.data)))).toEqual(hashes);
  });

  it("takes a still GIF or WebP as one frame", async () => {
    const [frame, ...more] = await framesOf(await readFixture("media/images/webp_lossy.webp"));
    expect([frame!.picture.width, frame!.picture.height, frame!.count]).toEqual([131, 97, 1]);
    expect(more).toEqual([]);
  });

  it("stops on abort", async () => {
    const bytes = await bytesOf("h264_640x360_90.mp4");
    const controller = new AbortController();
    const seen: number[] = [];
    const options = { signal: controller.signal, onProgress: (done: number) => seen.push(done), frames: 90 };
    const reading = (async () => {
      for await (const { index } of readFrames(bytes, options)) if (index === 4) controller.abort();
    })();
    await expect(reading).rejects.toBeInstanceOf(AbortedError);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    await expect(framesOf(bytes, options)).rejects.toBeInstanceOf(AbortedError);
    // A caller may also just leave.
    for await (const { index } of readFrames(bytes)) if (index > 0) break;
  });

  it("refuses options that make no sense", async () => {
    const bytes = await bytesOf("h264_one_frame.mp4");
    expect(await refusal(bytes, { frames: 4, fps: 1 })).toBeInstanceOf(OptionError);
    expect(await refusal(bytes, { rotation: "left" as "apply" })).toBeInstanceOf(OptionError);
  });
});
