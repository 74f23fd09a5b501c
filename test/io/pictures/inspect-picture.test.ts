import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { inspectPicture, MAX_PIXELS } from "../../../src/io/pictures/inspect-picture.js";
import { readFixture } from "../../support/fixture.js";
import { samplePicture } from "../../support/sample-pictures.js";

const imageOf = (name: string) => readFixture(`media/images/${name}`);

describe("inspectPicture", () => {
  it.each<[string, string, number, number, string]>([
    ["av_420_37x21_full.avif", "avif", 37, 21, "avif"],
    ["a_sequence.avif", "avif", 48, 32, "avis"],
    ["o_exif6.jpg", "jpeg", 23, 17, ""],
    ["o_exif6.png", "png", 23, 17, ""],
    ["o_exif6.tif", "tiff", 23, 17, ""],
    ["o_exif6.webp", "webp", 23, 17, ""],
    ["b_24.bmp", "bmp", 23, 17, ""],
  ])("reads format, stored size and brand of %s", (name, format, width, height, brand) => {
    expect(inspectPicture(samplePicture(name), name)).toMatchObject({ format, width, height, brand });
  });

  it("reads the size of a HEIC, which only some platforms decode", async () => {
    const heic = inspectPicture(await readFixture("pictures/small.heic"), "small.heic");
    expect(heic).toMatchObject({ format: "heic", width: 37, height: 21, brand: "heic", animated: false });
  });

  it("knows animations", async () => {
    const animated = (bytes: Uint8Array) => inspectPicture(bytes, "x").animated;
    expect(animated(await imageOf("gif_animated.gif"))).toBe(true);
    expect(animated(await imageOf("gif_static.gif"))).toBe(false);
    expect(animated(samplePicture("w_anim.webp"))).toBe(true);
    expect(animated(samplePicture("w_lossy.webp"))).toBe(false);
  });

  it("takes the most pixels there may be, and refuses none, more, and a size that is not there", async () => {
    const png = await imageOf("png_rgb8.png");
    const sized = (width: number, height: number) => {
      const view = new DataView(png.buffer);
      view.setUint32(16, width);
      view.setUint32(20, height);
      return () => inspectPicture(png, "a.png");
    };
    expect(sized(MAX_PIXELS, 1)()).toMatchObject({ width: MAX_PIXELS, height: 1 });
    expect(sized(MAX_PIXELS, 0)).toThrow(
      `a.png: expected a PNG with 1 to ${MAX_PIXELS} pixels, got ${MAX_PIXELS}×0 — get an undamaged copy`,
    );
    expect(sized(MAX_PIXELS + 1, 1)).toThrow(`got ${MAX_PIXELS + 1}×1 — make the picture smaller`);
    expect(sized(MAX_PIXELS + 1, 1)).toThrow(MediaError);
    expect(() => inspectPicture(png.subarray(0, 20), "a.png")).toThrow("got no readable size in its 20 bytes");
    const gif = samplePicture("g_0_0.gif");
    expect(() => inspectPicture(gif.subarray(0, 12), "a.gif")).toThrow("a GIF with 1 to");
  });
});

describe("the orientation that inspectPicture returns", () => {
  const orientationOf = async (name: string) => inspectPicture(await imageOf(name), name).orientation;

  it("is the tag of a JPEG, PNG and WebP", async () => {
    for (let value = 1; value <= 8; value++) expect(await orientationOf(`exif_${value}.jpg`)).toBe(value);
    expect(await orientationOf("exif_6.png")).toBe(6);
    expect(await orientationOf("exif_6.webp")).toBe(6);
  });

  it("is an AVIF's turn, and that of XMP", () => {
    for (const value of [3, 6, 8]) {
      const names = ["exif%.avif", "xmp%.jpg", "xmp%.png", "xmp%.webp"];
      for (const name of names.map((each) => `o_${each.replace("%", String(value))}`)) {
        expect(inspectPicture(samplePicture(name), name).orientation, name).toBe(value);
      }
    }
  });

  it("is 1 where there is none", async () => {
    for (const name of ["photo_chelsea.jpg", "png_rgb8.png", "webp_lossy.webp", "gif_static.gif"]) {
      expect(await orientationOf(name)).toBe(1);
    }
  });
});
