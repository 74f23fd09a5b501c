import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { readAv1Sequence } from "../../../src/io/pictures/av1-header.js";
import { decodeAvif, oneItemAvif } from "../../../src/io/pictures/avif.js";
import { type AvifPlanes, avifToRgb } from "../../../src/io/pictures/avif-colour.js";
import { readHeif } from "../../../src/io/pictures/heif-items.js";
import { inspectPicture } from "../../../src/io/pictures/inspect-picture.js";
import { boxAt } from "../../../src/io/pictures/iso-boxes.js";
import { readFixture, readFixtureJson } from "../../support/fixture.js";

const samples = await readFixtureJson<Record<string, { data: string }>>("pictures/pictures.json");
const bytesOf = (name: string) => Uint8Array.from(atob(samples[name]!.data), (letter) => letter.charCodeAt(0));

describe("readHeif", () => {
  it("finds grids, sequences and turns", () => {
    const grid = readHeif(bytesOf("a_grid.avif"), "grid").picture;
    expect([grid.columns, grid.rows, grid.tiles.length, grid.width, grid.height]).toEqual([2, 1, 2, 128, 128]);
    const sequence = inspectPicture(bytesOf("a_sequence.avif"), "sequence");
    expect([sequence.animated, sequence.brand, sequence.width, sequence.height]).toEqual([true, "avis", 48, 32]);
    expect(inspectPicture(bytesOf("o_exif6.avif"), "turned").orientation).toBe(6);
    expect(inspectPicture(bytesOf("o_exif3.avif"), "turned").orientation).toBe(3);
  });

  it("names multiplied alpha", () => {
    expect(readHeif(bytesOf("av_alpha.avif"), "x").premultipliedBy).toBeUndefined();
    expect(readHeif(bytesOf("av_alpha_premul.avif"), "x").premultipliedBy?.tiles).toHaveLength(1);
  });

  it("refuses files cut at any byte", async () => {
    const bytes = await readFixture("media/images/avif_420.avif");
    for (let length = 16; length < bytes.length; length += 41) {
      expect(() => readHeif(bytes.slice(0, length), "cut")).toThrow(MediaError);
    }
  });
});

describe("readAv1Sequence", () => {
  it("reads size, depth and colour", () => {
    const header = (name: string) => {
      const [tile] = readHeif(bytesOf(name), name).picture.tiles;
      return readAv1Sequence(tile!.data, name);
    };
    expect(header("ae_10_422.avif")).toMatchObject({ width: 37, height: 21, bits: 10, halfX: true, halfY: false });
    expect(header("ae_12_444.avif")).toMatchObject({ bits: 12, halfX: false, monochrome: false, fullRange: true });
    expect(header("av_400_37x21_limited.avif")).toMatchObject({ bits: 8, monochrome: true, fullRange: false });
    expect(() => readAv1Sequence(Uint8Array.of(0x0a, 1), "x")).toThrow(MediaError);
  });
});

describe("oneItemAvif", () => {
  it("is a file with that item", () => {
    const [tile] = readHeif(bytesOf("av_1x1.avif"), "x").picture.tiles;
    const file = oneItemAvif(tile!, readAv1Sequence(tile!.data, "x"));
    const again = readHeif(file, "again").picture;
    expect(again.tiles[0]!.data).toEqual(tile!.data);
    expect(again.colour).toMatchObject({ matrix: 0, fullRange: true });
    expect(boxAt(file, "mdat")).toEqual(tile!.data);
  });
});

describe("decodeAvif", () => {
  it("refuses a decoder's picture of another size, and too many pixels", async () => {
    const file = readHeif(bytesOf("av_420_37x21_full.avif"), "x");
    const decode = async () => ({ width: 1, height: 1, channels: 3, bits: 8 as const, data: new Uint8Array(3) });
    await expect(decodeAvif(file, decode, "x", 10_000)).rejects.toThrow(/1×1 from the decoder/);
    await expect(decodeAvif(file, decode, "x", 100)).rejects.toThrow(/at most 100 pixels/);
  });
});

describe("avifToRgb", () => {
  const planes = (y: number[], u: number[], v: number[], size: Partial<AvifPlanes>): AvifPlanes => ({
    width: y.length,
    height: 1,
    bits: 8,
    halfX: false,
    halfY: false,
    y: Uint8Array.from(y),
    u: Uint8Array.from(u),
    v: Uint8Array.from(v),
    ...size,
  });
  const bt601 = { matrix: 6, primaries: 1, fullRange: true };

  it("blends halved chroma by quarters, but not at the edges", () => {
    // 16 levels of U are 28 levels of blue: 16·113 >> 6.
    const blue = avifToRgb(planes([100, 100, 100, 100], [128, 144], [128, 128], { halfX: true }), bt601, "x");
    expect([...blue].filter((_, i) => i % 3 === 2)).toEqual([100, 107, 121, 128]);
  });

  it("hands the identity over and refuses matrices without a fixed conversion", () => {
    expect([...avifToRgb(planes([1], [2], [3], {}), { ...bt601, matrix: 0 }, "x")]).toEqual([3, 1, 2]);
    expect(() => avifToRgb(planes([1], [2], [3], {}), { ...bt601, matrix: 14 }, "x")).toThrow(/matrix 14/);
  });
});
