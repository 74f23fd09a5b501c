import { describe, expect, it } from "vitest";
import { isAnimatedPng, pngChunks, pngSize } from "../../../src/io/pictures/png-chunks.js";
import { readFixture } from "../../support/fixture.js";
import { ascii, u32 } from "../../support/mp4.js";

/** A chunk whose checksum is wrong, which is not looked at. */
const chunk = (type: string, data: readonly number[] = []): number[] => [
  ...u32(data.length),
  ...ascii(type),
  ...data,
  ...u32(0),
];
const png = (...chunks: number[][]): Uint8Array =>
  Uint8Array.from([0x89, ...ascii("PNG"), 13, 10, 26, 10, ...chunks.flat()]);
const header = chunk("IHDR", [...u32(300), ...u32(2), 8, 2, 0, 0, 0]);
const types = (bytes: Uint8Array) => [...pngChunks(bytes)].map(({ type }) => type);

describe("pngChunks", () => {
  it("gives the chunks up to IEND with their places", () => {
    const chunks = [...pngChunks(png(header, chunk("IDAT", [1, 2, 3]), chunk("IEND"), chunk("tEXt", [9])))];
    expect(chunks.map(({ type, offsetBytes, lengthBytes }) => [type, offsetBytes, lengthBytes])).toEqual([
      ["IHDR", 8, 13],
      ["IDAT", 33, 3],
      ["IEND", 48, 0],
    ]);
    expect([...chunks[1]!.data]).toEqual([1, 2, 3]);
    expect(chunks.every(({ complete }) => complete)).toBe(true);
  });

  it("ends with the chunk in which the file ends", () => {
    const bytes = png(header, chunk("IDAT", [1, 2, 3]), chunk("IEND"));
    const last = (length: number) => [...pngChunks(bytes.subarray(0, length))].at(-1)!;
    // All data are there, but not the whole checksum.
    expect([last(47).type, last(47).complete, [...last(47).data]]).toEqual(["IDAT", false, [1, 2, 3]]);
    expect([last(43).complete, [...last(43).data]]).toEqual([false, [1, 2]]);
    expect(last(48).complete).toBe(true);
    // Length and type are needed for a chunk to count.
    expect([40, 41].map((length) => types(bytes.subarray(0, length)).length)).toEqual([1, 2]);
    expect(types(bytes.subarray(0, 8))).toEqual([]);
  });

  it("does not walk on from a length beyond the file", () => {
    const endless = [0xff, 0xff, 0xff, 0xff, ...ascii("IDAT"), 1];
    const chunks = [...pngChunks(png(header, endless, chunk("IEND")))];
    expect(chunks.map(({ type, complete }) => [type, complete])).toEqual([
      ["IHDR", true],
      ["IDAT", false],
    ]);
  });

  it("reads a real file to its end", async () => {
    const bytes = await readFixture("media/images/png_rgb8.png");
    const chunks = [...pngChunks(bytes)];
    expect([chunks[0]!.type, chunks.at(-1)!.type]).toEqual(["IHDR", "IEND"]);
    expect(chunks.at(-1)!.offsetBytes + 12).toBe(bytes.length);
  });
});

describe("pngSize", () => {
  it("is that of IHDR, which has to come first", () => {
    const size = (bytes: Uint8Array) => pngSize(bytes, pngChunks(bytes));
    expect(size(png(header))).toEqual({ width: 300, height: 2 });
    expect(size(png(chunk("tEXt"), header))).toBeUndefined();
    expect([23, 24].map((length) => size(png(header).subarray(0, length)))).toEqual([
      undefined,
      { width: 300, height: 2 },
    ]);
  });
});

describe("isAnimatedPng", () => {
  it("wants more than one frame, announced before the picture", () => {
    const animated = (...chunks: number[][]) => isAnimatedPng(pngChunks(png(header, ...chunks)));
    const control = (frames: number) => chunk("acTL", [...u32(frames), ...u32(0)]);
    expect(animated(control(2), chunk("IDAT"))).toBe(true);
    expect(animated(control(1), chunk("IDAT"))).toBe(false);
    expect(animated(chunk("IDAT"), control(2))).toBe(false);
    expect(animated(chunk("acTL", [0, 2]))).toBe(false);
    expect(animated()).toBe(false);
  });
});
