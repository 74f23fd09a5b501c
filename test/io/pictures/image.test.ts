import { describe, expect, it } from "vitest";
import { platform } from "#platform";
import { MediaError, MissingPackageError, OptionError } from "../../../src/base/errors.js";
import { decodeImage } from "../../../src/io/pictures/image.js";
import { decodePng } from "../../../src/io/pictures/png.js";
import { readFixture, readFixtureJson } from "../../support/fixture.js";
import { sha256 } from "../../support/pixels.js";

interface Truth {
  width?: number;
  height?: number;
  rgb_sha256?: string;
  rgb_png?: string;
  transposed?: { width: number; height: number; rgb_sha256: string };
  error?: string;
}

const { files } = await readFixtureJson<{ files: Record<string, Truth> }>("media/images.json");
const names = Object.keys(files);

/** Largest and mean difference from the truth where a decoder is not exact: Chromium turns ink into RGB with its own rounding. */
const DIFFERENCE: Record<string, Record<string, { worst: number; mean: number }>> = {
  node: {},
  browser: { "jpeg_cmyk.jpg": { worst: 1, mean: 0.5 }, "jpeg_ycck.jpg": { worst: 1, mean: 0.5 } },
};

const bytesOf = (name: string) => readFixture(`media/images/${name}`);

async function refusal(bytes: Uint8Array, label: string): Promise<MediaError> {
  const error = await decodeImage(bytes, { label }).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error, `${label} is refused`).toBeInstanceOf(MediaError);
  return error as MediaError;
}

describe("decodeImage", () => {
  it("is measured on all fixtures", () => {
    expect(names).toHaveLength(78);
    expect(names.filter((name) => files[name]!.error)).toHaveLength(7);
  });

  it.each(names.filter((name) => !files[name]!.error))("%s has the reference's stored pixels", async (name) => {
    const truth = files[name]!;
    const picture = await decodeImage(await bytesOf(name), { label: name, orientation: "ignore" });
    expect([picture.width, picture.height]).toEqual([truth.width, truth.height]);
    expect(picture.label).toBe(name);
    const allowed = DIFFERENCE[platform.name]![name];
    if (allowed === undefined) {
      expect(await sha256(picture.data)).toBe(truth.rgb_sha256);
    } else {
      const exact = await decodePng(await readFixture(`media/${truth.rgb_png}`), name);
      expect(await sha256(exact.data)).toBe(truth.rgb_sha256);
      const differences = exact.data.map((value, i) => Math.abs(value - picture.data[i]!));
      expect(differences.reduce((most, d) => Math.max(most, d), 0)).toBeLessThanOrEqual(allowed.worst);
      expect(differences.reduce((sum, d) => sum + d, 0) / differences.length).toBeLessThanOrEqual(allowed.mean);
    }
  });

  it.each(names.filter((name) => files[name]!.transposed))("%s is turned upright", async (name) => {
    const truth = files[name]!.transposed!;
    const picture = await decodeImage(await bytesOf(name), { label: name });
    expect([picture.width, picture.height]).toEqual([truth.width, truth.height]);
    expect(await sha256(picture.data)).toBe(truth.rgb_sha256);
  });

  it.each(names.filter((name) => files[name]!.error))("%s is refused", async (name) => {
    const error = await refusal(await bytesOf(name), name);
    expect(error.code).toBe("MEDIA");
    expect(error.message).toContain(name);
  });

  it("refuses no pixel and too many before decoding", async () => {
    const png = new Uint8Array(await bytesOf("png_rgb8.png"));
    const size = new DataView(png.buffer);
    size.setUint32(16, 0);
    expect((await refusal(png, "empty")).fault.got).toBe("0×27");
    size.setUint32(16, 60_000);
    size.setUint32(20, 60_000);
    expect((await refusal(png, "huge")).fault.got).toBe("60000×60000");
    const bmp = new Uint8Array(await bytesOf("bmp_24.bmp"));
    new DataView(bmp.buffer).setUint32(18, 0, true);
    expect((await refusal(bmp, "flat")).fault.got).toMatch(/^0×/);
    // A GIF's screen grows with its frame.
    const gif = new Uint8Array(await bytesOf("gif_static.gif"));
    new DataView(gif.buffer).setUint16(8, 0, true);
    expect((await decodeImage(gif, { label: "screen" })).height).toBe(files["gif_static.gif"]!.height);
  });

  // In steps that are no multiple of anything in the formats. The number is of bytes at the end that carry nothing and
  // that the reference does not ask for: the trailer of a GIF; of a PNG the IEND chunk, two checksums and the end of the last block.
  it.each([
    ["jpeg_q20_420.jpg", 0],
    ["jpeg_progressive_420.jpg", 0],
    ["webp_lossy.webp", 0],
    ["webp_lossless.webp", 0],
    ["avif_420.avif", 0],
    ["gif_static.gif", 2],
    ["png_gray8.png", 21],
  ])(
    "%s is refused wherever it is cut",
    async (name, idle) => {
      const bytes = await bytesOf(name);
      const needed = bytes.length - idle;
      expect((await decodeImage(bytes.slice(0, needed), { label: name })).height).toBe(files[name]!.height);
      for (let length = 1; length < needed; length += 97) await refusal(bytes.slice(0, length), `${name}, ${length}`);
      await refusal(bytes.slice(0, needed - 1), `${name}, last byte`);
    },
    60_000,
  );

  it.each([
    [2500, 2100],
    [9000, 5],
  ])("reads %i×%i, which is more than one block of a readback", async (width, height) => {
    const picture = await decodeImage(await readFixture(`media/large/steps_${width}x${height}.webp`), {
      label: "large",
    });
    expect([picture.width, picture.height]).toEqual([width, height]);
    const drawn = new Uint8Array(width * height * 3);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        drawn[at++] = x >> 3;
        drawn[at++] = y >> 3;
        drawn[at++] = 16 * ((x >> 8) + (y >> 8));
      }
    }
    expect(await sha256(picture.data)).toBe(await sha256(drawn));
  });

  it("does not take its bytes from outside a view", async () => {
    const bytes = await bytesOf("exif_6.jpg");
    const around = new Uint8Array(bytes.length + 20).fill(0xff);
    around.set(bytes, 7);
    const picture = await decodeImage(around.subarray(7, 7 + bytes.length), { label: "view" });
    expect(await sha256(picture.data)).toBe(files["exif_6.jpg"]!.transposed!.rgb_sha256);
  });

  it("names the package for HEIC", async () => {
    const error = await decodeImage(await readFixture("pictures/small.heic"), { label: "a.heic" }).catch(
      (e: unknown) => e,
    );
    expect((error as Error).message).toMatch(
      platform.name === "node" ? /npm install libheif-js/ : /a HEIC this browser can decode/,
    );
    expect(error).toBeInstanceOf(platform.name === "node" ? MissingPackageError : MediaError);
  });

  it("gives typed errors, soon, for bytes turned round and files cut", async () => {
    const kinds = [
      "jpeg_q20_420.jpg",
      "png_pal4_adam7.png",
      "webp_lossy.webp",
      "gif_animated.gif",
      "avif_420.avif",
      "bmp_24.bmp",
    ];
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    for (const name of kinds) {
      const whole = await bytesOf(name);
      for (let round = 0; round < 40; round++) {
        const bytes = whole.slice(0, round % 2 === 0 ? whole.length : random(whole.length));
        for (let i = 0; i < 3 && bytes.length > 0; i++) bytes[random(Math.min(bytes.length, 400))] = random(256);
        const outcome = await decodeImage(bytes, { label: name }).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome, `${name}, ${round}: ${outcome.stack}`).toBeInstanceOf(MediaError);
      }
    }
  }, 60_000);

  it("refuses an orientation it does not know", async () => {
    const options = { label: "x", orientation: "up" as "apply" };
    await expect(decodeImage(await bytesOf("exif_1.jpg"), options)).rejects.toBeInstanceOf(OptionError);
  });
});
