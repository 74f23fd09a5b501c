import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { bicubicWeights, type Pixels, padToSquare, resizeBicubic } from "../../../src/io/pictures/resize.js";
import { readFixtureJson } from "../../support/fixture.js";
import { base384 } from "../../support/pillow.js";
import { sha256, testPicture } from "../../support/pixels.js";

interface PillowVector {
  w: number;
  h: number;
  source: string;
  base384: string;
  pad_square384: string;
}

const vectors = (await readFixtureJson<{ pillow_bicubic: PillowVector[] }>("llava-onevision-vectors.json"))
  .pillow_bicubic;

function channel0(picture: Pixels): number[][] {
  return Array.from({ length: picture.height }, (_, y) =>
    Array.from({ length: picture.width }, (_, x) => picture.data[(y * picture.width + x) * 3]!),
  );
}

describe("bicubic weights", () => {
  it("have Pillow's fixed-point values when shrinking", () => {
    const axis = bicubicWeights(7, 4);
    const taps = (o: number) => [...axis.weights.subarray(o * axis.stride, o * axis.stride + axis.counts[o]!)];
    expect([...axis.starts]).toEqual([0, 0, 1, 3]);
    expect(taps(0)).toEqual([2312533, 1925784, 116586, -160599]);
    expect(taps(1)).toEqual([-156061, 861991, 2330599, 1327164, -72657, -96732]);
    expect(taps(2)).toEqual(taps(1).reverse());
    expect(taps(3)).toEqual(taps(0).reverse());
  });

  it("have Pillow's fixed-point values when growing, where the sum is not 2^22", () => {
    const axis = bicubicWeights(4, 7);
    expect(axis.starts[1]).toBe(0);
    expect([...axis.weights.subarray(axis.stride, axis.stride + axis.counts[1]!)]).toEqual([2927401, 1427046, -160142]);
  });
});

describe("resizeBicubic", () => {
  const source = testPicture(7, 5);
  it.each([
    [
      4,
      3,
      [
        [5, 23, 65, 126],
        [23, 74, 138, 177],
        [42, 129, 185, 78],
      ],
    ],
    [
      7,
      3,
      [
        [2, 9, 22, 41, 66, 105, 142],
        [14, 39, 70, 107, 150, 145, 200],
        [26, 69, 118, 173, 234, 37, 110],
      ],
    ],
    [
      4,
      5,
      [
        [1, 13, 46, 94],
        [12, 43, 96, 163],
        [23, 73, 147, 231],
        [35, 109, 154, 41],
        [46, 139, 204, 110],
      ],
    ],
  ])("7×5 to %i×%i gives Pillow's pixels", (width, height, expected) => {
    expect(channel0(resizeBicubic(source, width, height))).toEqual(expected);
  });

  it("does not touch a picture that keeps its size", () => {
    expect(resizeBicubic(source, 7, 5).data).toBe(source.data);
  });

  it("refuses an empty size", () => {
    expect(() => resizeBicubic(source, 0, 5)).toThrow(MediaError);
    expect(() => resizeBicubic({ width: 0, height: 5, data: new Uint8Array() }, 4, 4)).toThrow(/0×5/);
  });

  it("covers ten sizes", () => {
    expect(vectors).toHaveLength(10);
  });
  it.each(vectors.map((v) => [`${v.w}×${v.h}`, v] as const))("%s to one tile has Pillow's hash", async (_, v) => {
    const picture = testPicture(v.w, v.h);
    expect(await sha256(picture.data)).toBe(v.source);
    expect(await sha256(resizeBicubic(picture, 384, 384).data)).toBe(base384(v));
    // One axis at a time, the width first, is what Pillow up to 12 does.
    const widthFirst = resizeBicubic(resizeBicubic(picture, 384, picture.height), 384, 384);
    expect(await sha256(widthFirst.data)).toBe(v.base384);
    expect(await sha256(resizeBicubic(padToSquare(picture, 127), 384, 384).data)).toBe(v.pad_square384);
  });

  it("keeps a plain twelve-megapixel picture plain", () => {
    const picture = { width: 4000, height: 3000, data: new Uint8Array(4000 * 3000 * 3).fill(90) };
    expect(resizeBicubic(picture, 2304, 1728).data.every((v) => v === 90)).toBe(true);
  }, 30_000);
});

describe("padToSquare", () => {
  it("centres the picture; the odd pixel of border goes right and below", () => {
    const wide = padToSquare({ width: 4, height: 1, data: new Uint8Array(12).fill(9) }, 127);
    expect(channel0(wide)).toEqual([
      [127, 127, 127, 127],
      [9, 9, 9, 9],
      [127, 127, 127, 127],
      [127, 127, 127, 127],
    ]);
    const tall = padToSquare({ width: 2, height: 3, data: new Uint8Array(18).fill(9) }, 127);
    expect(channel0(tall)).toEqual([
      [9, 9, 127],
      [9, 9, 127],
      [9, 9, 127],
    ]);
  });
});
