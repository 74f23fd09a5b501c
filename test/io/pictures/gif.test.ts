import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { decodeGif, openGif } from "../../../src/io/pictures/gif.js";
import { gifSize, readGif } from "../../../src/io/pictures/gif-frames.js";

const RED = [255, 0, 0];
const GREEN = [0, 255, 0];
const BLUE = [0, 0, 255];
const WHITE = [255, 255, 255];

interface FrameOptions {
  left?: number;
  transparent?: number;
  disposal?: number;
  delay?: number;
}

/** One row of indices from 0 to 3, with a clear code before every other so that all codes have 3 bits. */
function frame(indices: number[], { left = 0, transparent, disposal = 0, delay = 0 }: FrameOptions = {}): number[] {
  const codes = indices.flatMap((index, i) => (i % 2 === 0 ? [4, index] : [index])).concat(5);
  const bits = codes.map((code) => code.toString(2).padStart(3, "0").split("").reverse().join("")).join("");
  const data = bits.match(/.{1,8}/g)!.map((byte) => Number.parseInt(byte.split("").reverse().join(""), 2));
  const flags = (disposal << 2) | (transparent === undefined ? 0 : 1);
  const control = [0x21, 0xf9, 4, flags, delay, 0, transparent ?? 0, 0];
  return [...control, 0x2c, left, 0, 0, 0, indices.length, 0, 1, 0, 0, 2, data.length, ...data, 0];
}

/** A screen of one row; index 3 is white. */
function gif(width: number, background: number, ...frames: number[][]): Uint8Array {
  const start = [..."GIF89a"].map((letter) => letter.charCodeAt(0));
  const table = [RED, GREEN, BLUE, WHITE].flat();
  return Uint8Array.from([...start, width, 0, 1, 0, 0x81, background, 0, ...table, ...frames.flat(), 0x3b]);
}

describe("decodeGif", () => {
  it("grows the screen to its first frame and fills what is left with the first colour", () => {
    const bytes = gif(2, 3, frame([1, 2, 1], { left: 1 }));
    expect(gifSize(readGif(bytes)!)).toEqual({ width: 4, height: 1 });
    expect([...decodeGif(bytes, "x").data]).toEqual([RED, GREEN, BLUE, GREEN].flat());
  });

  it("gives transparent pixels the colour of their index", () => {
    const bytes = gif(3, 0, frame([2, 1], { transparent: 2 }));
    expect([...decodeGif(bytes, "x").data]).toEqual([BLUE, GREEN, BLUE].flat());
  });

  it("refuses codes that end too soon", () => {
    const bytes = gif(2, 0, frame([1, 2]));
    for (const length of [12, 20, bytes.length - 4])
      expect(() => decodeGif(bytes.slice(0, length), "x")).toThrow(MediaError);
  });
});

describe("openGif", () => {
  const rows = async (bytes: Uint8Array) => {
    const animation = openGif(bytes, "x", 1000);
    const count = animation.durationsMilliseconds.length;
    return Promise.all(Array.from({ length: count }, async (_, i) => [...(await animation.picture(i)).data]));
  };

  it("puts frames together by their disposal", async () => {
    const second = frame([3], { left: 1, transparent: 0 });
    const first = [1, 2, 1];
    const left = [GREEN, WHITE, GREEN].flat();
    expect((await rows(gif(3, 3, frame(first), second)))[1]).toEqual(left);
    // 2 clears to the background colour, 3 of a first frame without transparency leaves it.
    expect((await rows(gif(3, 2, frame(first, { disposal: 2 }), second)))[1]).toEqual([BLUE, WHITE, BLUE].flat());
    expect((await rows(gif(3, 2, frame(first, { disposal: 3 }), second)))[1]).toEqual(left);
    const restored = gif(3, 2, frame(first), frame([3, 3, 3], { disposal: 3 }), frame([0], { left: 2 }));
    expect((await rows(restored))[2]).toEqual([GREEN, BLUE, RED].flat());
  });

  it("goes back to a picture that was given", async () => {
    const bytes = gif(1, 0, frame([1]), frame([2]));
    const animation = openGif(bytes, "x", 1000);
    expect([...(await animation.picture(1)).data]).toEqual(BLUE);
    expect([...(await animation.picture(0)).data]).toEqual(GREEN);
  });

  it("returns the file's durations and bounds the screen", () => {
    const bytes = gif(1, 0, frame([1], { delay: 0 }), frame([2], { delay: 7 }));
    expect(readGif(bytes)!.frames.map((each) => each.durationMilliseconds)).toEqual([0, 70]);
    expect(() => openGif(gif(200, 0, frame([1])), "x", 100)).toThrow(MediaError);
  });
});
