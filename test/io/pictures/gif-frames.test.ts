import { describe, expect, it } from "vitest";
import { gifSize, readGif } from "../../../src/io/pictures/gif-frames.js";
import { readFixture } from "../../support/fixture.js";
import { frame, gif } from "../../support/gif.js";

describe("readGif", () => {
  it("reads each frame's place, duration and disposal", () => {
    const bytes = gif(3, 2, frame([1, 2], { left: 1, disposal: 2 }), frame([2], { delay: 7, transparent: 3 }));
    const { screen, backgroundIndex, frames } = readGif(bytes)!;
    expect([screen, backgroundIndex]).toEqual([{ width: 3, height: 1 }, 2]);
    expect(frames).toMatchObject([
      { left: 1, top: 0, width: 2, height: 1, interlaced: false, codeBits: 2, durationMilliseconds: 0, disposal: 2 },
      { left: 0, width: 1, durationMilliseconds: 70, transparentIndex: 3 },
    ]);
    expect(frames[0]!.transparentIndex).toBeUndefined();
    expect([...frames[0]!.palette!]).toEqual([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]);
  });

  it("keeps the disposal of the frame before where one states none, but not its other fields", () => {
    const { frames } = readGif(
      gif(1, 0, frame([1], { disposal: 2, delay: 5, transparent: 1 }), frame([1]), frame([1], { disposal: 1 })),
    )!;
    expect(frames.map(({ disposal }) => disposal)).toEqual([2, 2, 1]);
    expect(frames.map(({ durationMilliseconds }) => durationMilliseconds)).toEqual([50, 0, 0]);
    expect(frames.map(({ transparentIndex }) => transparentIndex)).toEqual([1, undefined, undefined]);
  });

  it("prefers a frame's own colours, and gives none where there are none", () => {
    const plain = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4c, 1, 0];
    const own = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0xc0, 9, 8, 7, 6, 5, 4, 2, 2, 0x4c, 1, 0];
    const bytes = gif(1, 3, own, plain);
    expect(readGif(bytes)!.frames.map(({ palette }) => palette!.length)).toEqual([6, 12]);
    expect(readGif(bytes)!.frames[0]).toMatchObject({ interlaced: true, palette: Uint8Array.of(9, 8, 7, 6, 5, 4) });
    // Without a global table, whose flag is the highest bit of byte 10.
    const bare = Uint8Array.of(...bytes.subarray(0, 10), 1, 3, 0, ...plain, 0x3b);
    expect(readGif(bare)!.frames.map(({ palette }) => palette)).toEqual([undefined]);
    expect(readGif(bare)!.backgroundIndex).toBe(0);
  });

  it("stops at the trailer and at a frame whose head is cut", () => {
    const bytes = gif(1, 0, frame([1]), frame([2]));
    const count = (part: Uint8Array): number => readGif(part)!.frames.length;
    expect(count(Uint8Array.of(...bytes, ...frame([3])))).toBe(2);
    const second = bytes.lastIndexOf(0x2c);
    expect([second + 10, second + 11].map((end) => count(bytes.subarray(0, end)))).toEqual([1, 2]);
    expect(count(bytes.subarray(0, 25))).toBe(0);
  });

  it("gives nothing for a header that is cut or another format's", () => {
    const bytes = gif(1, 0);
    expect([12, 13].map((length) => readGif(bytes.subarray(0, length))?.frames)).toEqual([undefined, []]);
    expect(readGif(Uint8Array.of(...bytes.subarray(0, 4), 0x38, ...bytes.subarray(5)))).toBeUndefined();
  });

  it("counts the frames of real files", async () => {
    const count = async (name: string) => readGif(await readFixture(`media/images/${name}`))!.frames.length;
    expect(await count("gif_static.gif")).toBe(1);
    expect(await count("gif_animated.gif")).toBeGreaterThan(1);
  });
});

describe("gifSize", () => {
  it("is the screen's, which grows to the first frame alone", () => {
    const size = (...frames: number[][]) => gifSize(readGif(gif(2, 3, ...frames))!);
    expect(size()).toEqual({ width: 2, height: 1 });
    expect(size(frame([1]))).toEqual({ width: 2, height: 1 });
    expect(size(frame([1, 2, 1], { left: 1 }))).toEqual({ width: 4, height: 1 });
    expect(size(frame([1]), frame([1, 2, 1], { left: 1 }))).toEqual({ width: 2, height: 1 });
  });
});
