import { describe, expect, it } from "vitest";
import { readAv1Sequence } from "../../../src/io/pictures/av1-header.js";
import { decodeAvif, oneItemAvif } from "../../../src/io/pictures/avif.js";
import { readHeif } from "../../../src/io/pictures/heif-items.js";
import { boxAt } from "../../../src/io/pictures/iso-boxes.js";
import { samplePicture } from "../../support/sample-pictures.js";

describe("oneItemAvif", () => {
  it("is a file with that item", () => {
    const [tile] = readHeif(samplePicture("av_1x1.avif"), "x").picture.tiles;
    const file = oneItemAvif(tile!, readAv1Sequence(tile!.data, "x"));
    const again = readHeif(file, "again").picture;
    expect(again.tiles[0]!.data).toEqual(tile!.data);
    expect(again.colour).toMatchObject({ matrix: 0, fullRange: true });
    expect(boxAt(file, "mdat")).toEqual(tile!.data);
  });
});

describe("decodeAvif", () => {
  it("refuses a decoder's picture of another size, and too many pixels", async () => {
    const file = readHeif(samplePicture("av_420_37x21_full.avif"), "x");
    const decode = async () => ({ width: 1, height: 1, channels: 3, bits: 8 as const, data: new Uint8Array(3) });
    await expect(decodeAvif(file, decode, "x", 10_000)).rejects.toThrow(/1×1 from the decoder/);
    await expect(decodeAvif(file, decode, "x", 100)).rejects.toThrow(/at most 100 pixels/);
  });
});
