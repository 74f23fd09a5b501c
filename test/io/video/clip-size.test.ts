import { expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { clipSize } from "../../../src/io/video/clip-size.js";
import { readFixture } from "../../support/fixture.js";

it.each([
  ["media/videos/h264_hd_unspecified.mp4", 1280, 720],
  ["clips/recorded_vp9.webm", undefined, undefined],
  ["media/images/gif_animated.gif", undefined, undefined],
])("reads the size of %s from its headers", async (file, wide, high) => {
  const { width, height } = await clipSize(await readFixture(file), "clip");
  expect(width * height).toBeGreaterThan(0);
  if (wide !== undefined) expect([width, height]).toEqual([wide, high]);
});

it("reads that of the track asked for", async () => {
  const bytes = await readFixture("media/videos/h264_two_tracks.mp4");
  const [first, second] = [await clipSize(bytes, "clip", { track: 0 }), await clipSize(bytes, "clip", { track: 1 })];
  expect(first.width).not.toBe(second.width);
});

it("refuses what is no clip", async () => {
  await expect(clipSize(new Uint8Array(100), "video_url.url")).rejects.toThrow(MediaError);
});
