import { describe, expect, it } from "vitest";
import { AbortedError, MediaError, OptionError } from "../../../src/base/errors.js";
import { type PictureInput, type RawPixels, readPicture } from "../../../src/io/pictures/picture-input.js";
import { readFrames, type VideoInput } from "../../../src/io/video/video.js";
import { readFixture } from "../../support/fixture.js";
import { sha256, testPicture } from "../../support/pixels.js";

const bytes = await readFixture("../../models/tiny/examples/00-shapes.png");
const truth = await readPicture(bytes, "truth");

async function refusal(input: unknown): Promise<MediaError> {
  const error = await readPicture(input as PictureInput, "image 2").then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(MediaError);
  return error as MediaError;
}

describe("readPicture", () => {
  it("takes the bytes of a file in every wrapping", async () => {
    const file = new Uint8Array(bytes);
    let text = "";
    for (const byte of file) text += String.fromCharCode(byte);
    const dataUrl = `data:image/png;base64,${btoa(text)}`;
    // A view into a longer buffer.
    const within = new Uint8Array(file.length + 7);
    within.set(file, 5);
    for (const input of [
      file.buffer,
      within.subarray(5, 5 + file.length),
      new Blob([file]),
      new File([file], "no-extension"),
      dataUrl,
      new URL(dataUrl),
    ]) {
      const { width, height, data } = await readPicture(input, "image 1");
      expect([width, height]).toEqual([truth.width, truth.height]);
      expect(await sha256(data)).toBe(await sha256(truth.data));
    }
  });

  it("takes pixels of 3 and of 4 bytes, whose alpha is dropped", async () => {
    const { width, height, data } = testPicture(5, 3);
    const rgba = new Uint8ClampedArray(width * height * 4);
    for (let i = 0; i < width * height; i++) rgba.set([...data.subarray(i * 3, i * 3 + 3), i * 17], i * 4);
    for (const given of [data, rgba, new Uint8Array(rgba)]) {
      const picture = await readPicture({ data: given, width, height }, "image 1");
      expect(picture).toEqual({ width, height, data, label: "image 1" });
      expect(picture.data).not.toBe(given);
    }
  });

  it("refuses pixels that do not fit their size, naming both", async () => {
    const data = new Uint8Array(12);
    expect((await refusal({ data, width: 2, height: 3 })).fault).toMatchObject({
      expected: "18 bytes of RGB or 24 of RGBA for 2×3",
      got: "12 bytes",
    });
    for (const [width, height] of [
      [0, 3],
      [2, -1],
      [1.5, 2],
      [Number.NaN, 1],
    ]) {
      expect((await refusal({ data, width, height })).fault.got).toBe(`${width}×${height}`);
    }
    // Half floats of an ImageData, and pixels that came through JSON.
    expect((await refusal({ data: new Uint16Array(12), width: 2, height: 2 })).fault.got).toBe("an Uint16Array");
    expect((await refusal({ data: [1, 2, 3], width: 1, height: 1 })).fault.got).toBe("an array");
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [7, "7"],
    [10n, "10"],
    [true, "true"],
    [() => 1, "a function"],
    [[bytes], "an array"],
    [{}, "an object with no keys"],
    [{ url: "x.png", size: 3 }, "an object with the keys url, size"],
    [new Date(0), "a Date"],
    [new Map(), "a Map"],
  ])("refuses %s and lists what it takes", async (input, got) => {
    const { fault } = await refusal(input);
    expect(fault.where).toBe("image 2");
    expect(fault.got).toBe(got);
    for (const kind of [
      "path",
      "URL",
      "Blob",
      "bytes",
      "{ data, width, height }",
      "VideoFrame",
      "ImageBitmap",
      "canvas",
    ]) {
      expect(fault.expected).toContain(kind);
    }
  });

  it("refuses a broken data URL and an abort", async () => {
    expect((await refusal("data:image/png;base64,***")).fault.where).toBe("image 2");
    await expect(readPicture(bytes, "x", { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    await expect(readPicture(bytes, "x", { orientation: "upright" as "apply" })).rejects.toThrow(OptionError);
  });
});

describe("readFrames", () => {
  const pixels = (level: number): RawPixels => ({ data: new Uint8Array(12).fill(level), width: 2, height: 2 });

  it("takes pictures from an array and from an async iterable, some of them decoded", async () => {
    async function* stream(): AsyncGenerator<PictureInput> {
      for (const level of [1, 2, 3]) yield pixels(level);
    }
    for (const input of [[pixels(1), pixels(2), pixels(3)], stream()] as VideoInput[]) {
      const levels: number[] = [];
      for await (const { picture } of readFrames(input, { frames: 2 })) levels.push(picture.data[0]!);
      expect(levels).toEqual([1, 3]);
    }
  });

  it.each([
    [null, "null"],
    [undefined, "undefined"],
    [5, "5"],
    [{ frames: 3 }, "an object with the keys frames"],
  ])("refuses %s as a clip", async (input, got) => {
    const error = await readFrames(input as unknown as VideoInput)
      .next()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MediaError);
    expect((error as MediaError).fault).toMatchObject({ where: "video", got });
  });
});
