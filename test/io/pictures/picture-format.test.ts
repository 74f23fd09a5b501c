import { expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { sniffFormat } from "../../../src/io/pictures/picture-format.js";
import { readFixture } from "../../support/fixture.js";

function refusal(bytes: Uint8Array, label: string): MediaError {
  try {
    sniffFormat(bytes, label);
  } catch (cause) {
    expect(cause).toBeInstanceOf(MediaError);
    return cause as MediaError;
  }
  throw new Error(`${label} is taken for a picture`);
}

const ascii = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

it.each<[string, string]>([
  ["png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"],
  ["jpeg", "\xff\xd8\xff\xe0"],
  ["webp", "RIFF\0\0\0\0WEBPVP8 "],
  ["gif", "GIF87a"],
  ["gif", "GIF89a"],
  ["bmp", "BM\0\0"],
  ["tiff", "II*\0"],
  ["tiff", "MM\0+"],
  ["avif", "\0\0\0\x18ftypmif1\0\0\0\0mif1avif"],
  ["heic", "\0\0\0\x14ftypheic\0\0\0\0mif1"],
])("%s is known by its first bytes: %j", (format, start) => {
  expect(sniffFormat(ascii(start), "a")).toBe(format);
});

it("names what it found instead of a picture", async () => {
  const ico = Uint8Array.of(0, 0, 1, 0, 1, 0);
  expect(refusal(ico, "a.ico").fault.got).toBe("an icon or cursor of Windows");
  expect(refusal(await readFixture("media/images/empty.png"), "b.png").fault.got).toBe("no bytes at all");
  expect(refusal(await readFixture("media/images/not_an_image.jpg"), "c.jpg").fault.got).toMatch(
    /^text beginning with/,
  );
  expect(refusal(Uint8Array.of(0x25, 0x50, 0x44, 0x46), "d.png").fault.got).toBe("a PDF document");
  expect(refusal(Uint8Array.of(1, 2, 0xff), "e.png").fault.got).toBe("unknown bytes 01 02 ff");
});

it("says what to do with bytes that are no picture", () => {
  const webm = Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3, 0x9f, 0x42, 0x86, 0x81);
  expect(refusal(webm, "a.webm").fault).toMatchObject({
    got: "a WebM or Matroska clip",
    remedy: 'give a clip as a video: { type: "video" } in a message, --video on the command line',
  });
  const mp4 = new TextEncoder().encode("\0\0\0\x10ftypisom\0\0\0\0");
  expect(refusal(mp4, "b.mp4").fault.remedy).toMatch(/^give a clip as a video/);
  expect(refusal(new Uint8Array(0), "c").fault.remedy).toBe("give the bytes of a picture file");
  const svg = new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg"/>');
  expect(refusal(svg, "e.svg").fault.remedy).toBe("convert it to PNG or JPEG");
  expect(refusal(new TextEncoder().encode("hello"), "d").fault.remedy).toMatch(/its path or URL$/);
});

it("names an iOS-optimised PNG with what to do", () => {
  const header = [0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 2, 0, 0, 0, 2, 8, 6, 0, 0, 0, 0x72, 0xb6, 0x0d, 0x24];
  const chunk = [0, 0, 0, 4, 0x43, 0x67, 0x42, 0x49, 0x50, 0, 0x20, 2, 0x2b, 0xd5, 0xb3, 0x7f];
  const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, ...chunk, ...header);
  const { fault } = refusal(png, "icon.png");
  expect(fault.got).toContain("Xcode");
  expect(fault.remedy).toContain("pngcrush -revert-iphone-optimizations");
});
