import { expect, test } from "vitest";
import { pictureSize } from "../../../src/io/pictures/picture-size.js";
import { bytesSource } from "../../../src/io/source.js";
import { bmp } from "../../support/parquet.js";

test("the size is read from the first bytes of a file", async () => {
  const bytes = bmp(7, 3, 200_000);
  const lengths: number[] = [];
  const source = bytesSource(bytes, "a.bmp");
  const read = source.read.bind(source);
  source.read = (offset, length) => {
    lengths.push(length);
    return read(offset, length);
  };
  expect(await pictureSize(source)).toEqual({ width: 7, height: 3 });
  expect(lengths).toEqual([65_536]);
});

/** A JPEG's headers: a segment with this orientation, `padding` bytes of metadata, and the size. */
function jpeg(width: number, height: number, orientation: number, padding: number): Uint8Array {
  const segment = (marker: number, data: readonly number[]) => {
    const length = data.length + 2;
    return [255, marker, length >> 8, length & 255, ...data];
  };
  const exif = [..."Exif\0\0MM\0*\0\0\0\b\0\u0001\u0001\u0012\0\u0003\0\0\0\u0001\0"].map((c) => c.charCodeAt(0));
  const zeros = Array<number>(Math.min(padding, 60_000)).fill(0);
  const size = [8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0];
  return Uint8Array.from([
    ...[255, 0xd8],
    ...segment(0xe1, [...exif, orientation, 0, 0, 0, 0, 0, 0]),
    ...(padding > 0 ? [...segment(0xe2, zeros), ...segment(0xe2, zeros)] : []),
    ...segment(0xc0, size),
    ...segment(0xda, [1, 1, 0, 0, 63, 0]),
  ]);
}

test.each([0, 60_000])(
  "a picture that is shown turned has the turned size, after %i bytes of metadata",
  async (padding) => {
    expect(await pictureSize(bytesSource(jpeg(5, 9, 1, padding), "a.jpg"))).toEqual({ width: 5, height: 9 });
    expect(await pictureSize(bytesSource(jpeg(5, 9, 6, padding), "a.jpg"))).toEqual({ width: 9, height: 5 });
  },
);

test("other files are refused by name", async () => {
  const source = bytesSource(new TextEncoder().encode("not a picture"), "notes.txt");
  await expect(pictureSize(source)).rejects.toThrow(/^notes\.txt: expected/);
});
