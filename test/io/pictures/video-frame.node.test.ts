import { VideoFrame } from "@napi-rs/webcodecs";
import { expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { type PictureInput, readPicture } from "../../../src/io/pictures/picture-input.js";

// The package's class has the standard's interface with types of its own.
const read = (frame: unknown) => readPicture(frame as PictureInput, "frame");

it("takes a VideoFrame of the package for Node, and does not close it", async () => {
  const [width, height] = [16, 8];
  const data = new Uint8Array((width * height * 3) / 2).fill(128);
  for (let i = 0; i < width * height; i++) data[i] = 16 + i;
  const frame = new VideoFrame(data, { format: "I420", codedWidth: width, codedHeight: height, timestamp: 0 });
  for (let i = 0; i < 2; i++) {
    const picture = await read(frame);
    expect(picture).toMatchObject({ width, height, label: "frame" });
    // Limited range: 16 is black, 110 is (110 - 16)·255/219.
    expect([...picture.data.subarray(0, 3)]).toEqual([0, 0, 0]);
    expect(Math.abs(picture.data[94 * 3]! - 109)).toBeLessThanOrEqual(1);
  }
  frame.close();
  await expect(read(frame)).rejects.toThrow(MediaError);
});
