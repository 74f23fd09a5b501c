import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { readHeif } from "../../../src/io/pictures/heif-items.js";
import { jpegSegments } from "../../../src/io/pictures/jpeg-segments.js";
import { checkAvif, cleanJpeg, cleanWebp } from "../../../src/io/pictures/picture-clean.js";
import { readWebp } from "../../../src/io/pictures/webp-chunks.js";
import { readFixture } from "../../support/fixture.js";
import { concat } from "../../support/mp4.js";
import { samplePicture } from "../../support/sample-pictures.js";

const imageOf = (name: string) => readFixture(`media/images/${name}`);

describe("cleanJpeg", () => {
  const clean = (bytes: Uint8Array, pixels = 100) => cleanJpeg(bytes, jpegSegments(bytes), pixels, "a.jpg");
  const markers = (bytes: Uint8Array) => [...jpegSegments(bytes)].map(({ marker }) => marker);

  it("takes out metadata and comments, and keeps what defines the colours", async () => {
    const bytes = await imageOf("exif_6.jpg");
    expect(markers(bytes)).toContain(0xe1);
    const segment = (marker: number) => [0xff, marker, 0, 3, 7];
    const colours = [...segment(0xe0), ...segment(0xee)];
    const dressed = concat(bytes.subarray(0, 2), segment(0xe2), colours, segment(0xfe), bytes.subarray(2));
    const kept = markers(dressed).filter((marker) => marker === 0xe0 || marker === 0xee || marker < 0xe0);
    expect(markers(clean(dressed))).toEqual(kept);
    expect(clean(dressed).subarray(2, 12)).toEqual(Uint8Array.from(colours));
    expect(clean(clean(bytes))).toEqual(clean(bytes));
  });

  it("leaves what follows the end marker out, and adds one to a picture that is whole without it", () => {
    expect(clean(samplePicture("j_420_trail.jpg"))).toEqual(clean(samplePicture("j_420.jpg")));
    expect(clean(samplePicture("j_422_noeoi.jpg"))).toEqual(clean(samplePicture("j_422.jpg")));
  });

  it("refuses a picture that is cut", () => {
    const cut = samplePicture("j_420_cut80.jpg");
    expect(() => clean(cut)).toThrow(MediaError);
    expect(() => clean(cut)).toThrow(
      `a.jpg: expected the end marker of the JPEG, got ${cut.length} bytes without one (the picture is cut off)`,
    );
  });

  it("bounds the scans by the pixels that each of them costs", () => {
    const bytes = samplePicture("j_prog.jpg");
    const scans = markers(bytes).filter((marker) => marker === 0xda).length;
    expect(scans).toBeGreaterThan(3);
    expect(() => clean(bytes, 2 ** 32 / 2)).toThrow(`at most 2 scans of ${2 ** 31} pixels, got more`);
    expect(() => clean(bytes, Math.floor(2 ** 32 / scans))).not.toThrow();
  });
});

describe("cleanWebp", () => {
  const clean = (bytes: Uint8Array) => cleanWebp(bytes, readWebp(bytes), "a.webp");

  it("takes out EXIF with its flag, and states the new length", async () => {
    const bytes = await imageOf("exif_6.webp");
    const types = (file: Uint8Array) => [...readWebp(file).chunks].map(({ type }) => type);
    expect(types(bytes)).toContain("EXIF");
    const cleaned = clean(bytes);
    expect(types(cleaned)).toEqual(types(bytes).filter((type) => type !== "EXIF"));
    const flags = (file: Uint8Array) => [...readWebp(file).chunks][0]!.data[0]!;
    expect([flags(bytes) & 8, flags(cleaned) & 0x2c]).toEqual([8, 0]);
    expect(flags(cleaned)).toBe(flags(bytes) & ~0x2c);
    expect(readWebp(cleaned).declaredBytes).toBe(cleaned.length);
    expect(flags(bytes) & 8, "the caller's bytes").toBe(8);
  });

  it("leaves a picture without metadata as it is, but for what follows it", () => {
    const bytes = samplePicture("w_lossy.webp");
    expect(clean(bytes)).toEqual(bytes);
    expect(clean(samplePicture("w_lossy_trail.webp"))).toEqual(bytes);
  });

  it("refuses a file shorter than it says, and a chunk beyond the file", () => {
    const bytes = samplePicture("w_lossy.webp");
    const cut = bytes.slice(0, -1);
    expect(() => clean(cut)).toThrow(
      `a.webp: expected ${bytes.length} bytes of WebP, got ${cut.length} (the picture is cut off)`,
    );
    new DataView(cut.buffer).setUint32(4, cut.length - 8, true);
    expect(() => clean(cut)).toThrow("the whole VP8  chunk of the WebP, got the end of the file before it");
    expect(() => clean(cut)).toThrow(MediaError);
  });
});

describe("checkAvif", () => {
  it("refuses a last box that is longer than the file, and names its place", () => {
    const bytes = samplePicture("av_1x1.avif");
    const check = (file: Uint8Array) => () => checkAvif(readHeif(file, "a.avif"), "a.avif");
    expect(check(bytes)).not.toThrow();
    const longer = concat(bytes, [0, 0, 0, 99, 0x66, 0x72, 0x65, 0x65]);
    expect(check(longer)).toThrow(
      `a.avif: expected the whole "free" box at byte ${bytes.length} of the AVIF, got the end of the file before it`,
    );
  });
});
