import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { decodeBmp } from "../../../src/io/pictures/bmp.js";

/** A BMP with a header of 40 bytes. */
function bmp(
  width: number,
  height: number,
  bits: number,
  compression: number,
  palette: number[],
  data: number[],
): Uint8Array {
  const bytes = new Uint8Array(54 + palette.length + data.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(10, 54 + palette.length, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, bits, true);
  view.setUint32(30, compression, true);
  view.setUint32(46, compression === 3 ? 0 : palette.length / 4, true);
  bytes.set(palette, 54);
  bytes.set(data, 54 + palette.length);
  return bytes;
}

/** Blue, green, red and nothing of four colours. */
const PALETTE = [3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0, 12, 11, 10, 0];
const rgb = (...indices: number[]) => indices.flatMap((i) => [1, 2, 3].map((c) => i * 3 + c));

describe("decodeBmp", () => {
  it("reads rows from the bottom up, or from the top where the height is negative", () => {
    const rows = [3, 2, 1, 0, 6, 5, 4, 0];
    expect([...decodeBmp(bmp(1, 2, 24, 0, [], rows), "x").data]).toEqual(rgb(1, 0));
    expect([...decodeBmp(bmp(1, -2, 24, 0, [], rows), "x").data]).toEqual(rgb(0, 1));
  });

  it("reads 1, 4, 8 and 16 bits and masks", () => {
    expect([...decodeBmp(bmp(3, 1, 1, 0, PALETTE.slice(0, 8), [0b01000000, 0, 0, 0]), "x").data]).toEqual(rgb(0, 1, 0));
    expect([...decodeBmp(bmp(3, 1, 4, 0, PALETTE, [0x12, 0x30, 0, 0]), "x").data]).toEqual(rgb(1, 2, 3));
    expect([...decodeBmp(bmp(2, 1, 8, 0, PALETTE, [3, 1, 0, 0]), "x").data]).toEqual(rgb(3, 1));
    expect([...decodeBmp(bmp(1, 1, 16, 0, [], [0x1f, 0x7c, 0, 0]), "x").data]).toEqual([255, 0, 255]);
    const masks = [0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0];
    expect([...decodeBmp(bmp(1, 1, 16, 3, masks, [0xe0, 7, 0, 0]), "x").data]).toEqual([0, 255, 0]);
  });

  it("reads runs, single pixels, steps and ends of lines", () => {
    const eight = [2, 1, 0, 0, 0, 3, 0, 1, 2, 0, 0, 1];
    expect([...decodeBmp(bmp(3, 2, 8, 1, PALETTE, eight), "x").data]).toEqual(rgb(0, 1, 2, 1, 1, 0));
    const four = [3, 0x12, 0, 1];
    expect([...decodeBmp(bmp(3, 1, 4, 2, PALETTE, four), "x").data]).toEqual(rgb(1, 2, 1));
    expect([...decodeBmp(bmp(3, 1, 8, 1, PALETTE, [0, 2, 2, 0, 1, 3]), "x").data]).toEqual(rgb(0, 0, 3));
  });

  it("does without the padding of the last row and refuses what is cut", () => {
    const whole = bmp(1, 1, 24, 0, [], [3, 2, 1]);
    expect([...decodeBmp(whole, "x").data]).toEqual(rgb(0));
    for (const length of [2, 20, 53, 56]) expect(() => decodeBmp(whole.slice(0, length), "x")).toThrow(MediaError);
    expect(() => decodeBmp(bmp(1, 1, 24, 4, [], [3, 2, 1]), "x")).toThrow(/compression 4/);
  });
});
