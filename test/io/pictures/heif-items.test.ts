import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { readHeif } from "../../../src/io/pictures/heif-items.js";
import { readFixture } from "../../support/fixture.js";
import { ascii, box, concat } from "../../support/mp4.js";
import { samplePicture } from "../../support/sample-pictures.js";

/** The file with the first box of a type renamed, so that it is passed over. */
function without(bytes: Uint8Array, type: string): Uint8Array {
  const letters = ascii(type);
  const at = bytes.findIndex((_, i) => letters.every((letter, k) => bytes[i + k] === letter));
  expect(at, type).toBeGreaterThan(0);
  const changed = bytes.slice();
  changed.set(ascii("free"), at);
  return changed;
}

describe("readHeif", () => {
  it("finds grids, sequences and turns", () => {
    const grid = readHeif(samplePicture("a_grid.avif"), "grid").picture;
    expect([grid.columns, grid.rows, grid.tiles.length, grid.width, grid.height]).toEqual([2, 1, 2, 128, 128]);
    const sequence = readHeif(samplePicture("a_sequence.avif"), "sequence");
    expect([sequence.animated, sequence.majorBrand]).toEqual([true, "avis"]);
    expect([sequence.picture.width, sequence.picture.height, sequence.picture.tiles.length]).toEqual([48, 32, 1]);
    expect([6, 3].map((turn) => readHeif(samplePicture(`o_exif${turn}.avif`), "turned").turn)).toEqual([6, 3]);
  });

  it("names multiplied alpha", () => {
    const plain = readHeif(samplePicture("av_alpha.avif"), "x");
    expect([plain.picture.hasAlpha, plain.premultipliedBy]).toEqual([true, undefined]);
    expect(readHeif(samplePicture("av_alpha_premul.avif"), "x").premultipliedBy?.tiles).toHaveLength(1);
    expect(readHeif(samplePicture("av_1x1.avif"), "x").picture.hasAlpha).toBe(false);
  });

  it("leaves coded data out where they are not wanted", () => {
    for (const name of ["a_grid.avif", "av_1x1.avif"]) {
      const { tiles, ...rest } = readHeif(samplePicture(name), name).picture;
      expect(tiles.length).toBeGreaterThan(0);
      expect(readHeif(samplePicture(name), name, false).picture).toEqual({ ...rest, tiles: [] });
    }
  });

  it("reads a HEIC's size without its data", async () => {
    const heic = readHeif(await readFixture("pictures/small.heic"), "small.heic", false);
    expect([heic.majorBrand, heic.picture.width, heic.picture.height]).toEqual(["heic", 37, 21]);
  });

  it("refuses files cut at any byte", async () => {
    const bytes = await readFixture("media/images/avif_420.avif");
    for (let length = 16; length < bytes.length; length += 41) {
      expect(() => readHeif(bytes.slice(0, length), "cut")).toThrow(MediaError);
    }
  });

  it.each([
    ["meta", /^a\.avif: expected a meta box that lists the pictures, got none/],
    ["pitm", /a primary picture, got no pitm box/],
    ["ispe", /the picture's size \(an ispe property\), got none/],
    ["av1C", /a picture coded as AV1 or HEVC, got an item of type "av01"/],
  ])("names what is missing without its %s box", (type, message) => {
    const bytes = without(samplePicture("av_1x1.avif"), type);
    expect(() => readHeif(bytes, "a.avif")).toThrow(message);
  });

  it("refuses a grid that lacks its tiles, and a sequence without a track", () => {
    expect(() => readHeif(without(samplePicture("a_grid.avif"), "dimg"), "x")).toThrow(
      "2 tiles of a grid, each another, got 0",
    );
    expect(() => readHeif(without(samplePicture("a_sequence.avif"), "stbl"), "x")).toThrow(
      "a track of AV1 pictures, got none",
    );
    expect(() => readHeif(without(samplePicture("a_sequence.avif"), "stsz"), "x")).toThrow(
      "the place of the first picture, got none",
    );
  });

  it("tells of a last box that is longer than the file", () => {
    const bytes = samplePicture("av_1x1.avif");
    expect(readHeif(bytes, "x").truncatedBox).toBeUndefined();
    const longer = concat(bytes, box("free", new Uint8Array(9)).subarray(0, 12));
    expect(readHeif(longer, "x").truncatedBox).toEqual({ type: "free", offsetBytes: bytes.length });
  });
});
