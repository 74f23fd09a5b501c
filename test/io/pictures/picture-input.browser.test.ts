import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { readPicture } from "../../../src/io/pictures/picture-input.js";
import { readFrames } from "../../../src/io/video/video.js";
import { readFixture } from "../../support/fixture.js";
import { testPicture } from "../../support/pixels.js";

// What only a browser has pictures in.

/** RGBA whose alpha takes every value; the colours stay under it. */
function withAlpha(width: number, height: number): { rgb: Uint8Array; rgba: ImageData } {
  const { data } = testPicture(width, height);
  const rgba = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) rgba.data.set([...data.subarray(i * 3, i * 3 + 3), i % 256], i * 4);
  return { rgb: data, rgba };
}

/** The RGBA as `drawing` gives it back, alpha left away. */
function rgbOf({ data }: ImageData): Uint8Array {
  return Uint8Array.from({ length: (data.length / 4) * 3 }, (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)]!);
}

const largest = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

const none = { colorSpaceConversion: "none", premultiplyAlpha: "none" } as const;

describe("readPicture", () => {
  it("takes an ImageData", async () => {
    const { rgb, rgba } = withAlpha(17, 33);
    expect(await readPicture(rgba, "image 1")).toEqual({ width: 17, height: 33, data: rgb, label: "image 1" });
  });

  it("takes an ImageBitmap, exactly, with colour under alpha, and leaves it open", async () => {
    const { rgb, rgba } = withAlpha(70, 51);
    const bitmap = await createImageBitmap(rgba, none);
    for (let i = 0; i < 2; i++) {
      expect(await readPicture(bitmap, "image 1")).toEqual({ width: 70, height: 51, data: rgb, label: "image 1" });
    }
    bitmap.close();
    await expect(readPicture(bitmap, "image 1")).rejects.toThrow(/image 1: expected an open ImageBitmap.*0×0/);
  });

  it("takes a bitmap wider than a block of the readback", async () => {
    const { data } = testPicture(2100, 3);
    const rgba = new ImageData(2100, 3);
    for (let i = 0; i < 6300; i++) rgba.data.set([...data.subarray(i * 3, i * 3 + 3), 255], i * 4);
    const bitmap = await createImageBitmap(rgba, none);
    expect((await readPicture(bitmap, "wide")).data).toEqual(data);
    bitmap.close();
  });

  it.each([
    ["an OffscreenCanvas", (width: number, height: number) => new OffscreenCanvas(width, height)],
    [
      "a canvas element",
      (width: number, height: number) => Object.assign(document.createElement("canvas"), { width, height }),
    ],
  ])("takes %s with transparent pixels", async (_, make) => {
    const { rgba } = withAlpha(64, 16);
    const canvas = make(64, 16);
    const context = canvas.getContext("2d") as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
    context.putImageData(rgba, 0, 0);
    const picture = await readPicture(canvas, "drawing");
    expect([picture.width, picture.height]).toEqual([64, 16]);
    // The canvas holds colours multiplied by alpha; what its own reading makes of them again is the truth.
    expect(largest(picture.data, rgbOf(context.getImageData(0, 0, 64, 16)))).toBeLessThanOrEqual(1);
    await expect(readPicture(make(0, 4), "drawing")).rejects.toThrow(/0×4/);
  });

  it("takes an image element, as its file is stored, and refuses one that is broken", async () => {
    const file = await readFixture("../../models/tiny/examples/00-shapes.png");
    const truth = await readPicture(file, "picture");
    const image = new Image();
    image.src = URL.createObjectURL(new Blob([new Uint8Array(file)], { type: "image/png" }));
    expect(await readPicture(image, "picture")).toEqual(truth);
    const broken = new Image();
    broken.src = URL.createObjectURL(new Blob(["no picture"]));
    await expect(readPicture(broken, "picture")).rejects.toThrow(MediaError);
    await expect(readPicture(new Image(), "picture")).rejects.toThrow(MediaError);
  });

  it("takes a VideoFrame by its planes, and does not close it", async () => {
    // Grey levels and two chroma values: full-range 4:2:0 in the matrix the frame names.
    const [width, height] = [16, 8];
    const data = new Uint8Array((width * height * 3) / 2).fill(128);
    for (let i = 0; i < width * height; i++) data[i] = i * 2;
    const colorSpace = { matrix: "smpte170m", fullRange: true, primaries: "smpte170m", transfer: "smpte170m" } as const;
    const frame = new VideoFrame(data, {
      format: "I420",
      codedWidth: width,
      codedHeight: height,
      timestamp: 0,
      colorSpace,
    });
    const picture = await readPicture(frame, "frame");
    expect(picture).toMatchObject({ width, height });
    expect(
      largest(
        picture.data,
        Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.floor(i / 3) * 2),
      ),
    ).toBeLessThanOrEqual(1);
    expect(frame.format).toBe("I420");
    // A clip may be given as frames that are decoded already.
    const seen: number[] = [];
    for await (const { picture } of readFrames([frame, frame])) seen.push(picture.width);
    expect(seen).toEqual([width, width]);
    expect(frame.format).toBe("I420");
    frame.close();
    await expect(readPicture(frame, "frame")).rejects.toThrow(
      /frame: expected a VideoFrame that is open, got a closed one/,
    );
  });

  it("takes the visible part of a VideoFrame of RGBA, turned as it says", async () => {
    const { data } = testPicture(6, 4);
    const rgba = new Uint8Array(6 * 4 * 4);
    for (let i = 0; i < 24; i++) rgba.set([...data.subarray(i * 3, i * 3 + 3), 255], i * 4);
    const init = { format: "RGBA" as const, codedWidth: 6, codedHeight: 4, timestamp: 0, rotation: 90 };
    const frame = new VideoFrame(rgba, { ...init, visibleRect: { x: 1, y: 1, width: 4, height: 3 } });
    const stored = await readPicture(frame, "frame", { orientation: "ignore" });
    expect([stored.width, stored.height]).toEqual([4, 3]);
    expect(stored.data.subarray(0, 3)).toEqual(data.subarray(7 * 3, 7 * 3 + 3));
    const upright = await readPicture(frame, "frame");
    expect([upright.width, upright.height]).toEqual([3, 4]);
    // A quarter to the right: the first column from below becomes the first row.
    expect(upright.data.subarray(0, 3)).toEqual(stored.data.subarray(8 * 3, 8 * 3 + 3));
    frame.close();
  });
});
