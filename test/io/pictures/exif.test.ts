import { describe, expect, it } from "vitest";
import { orientationOfTiff } from "../../../src/io/pictures/exif.js";

/** A TIFF block with one directory of the given entries. */
function tiff(little: boolean, entries: [tag: number, type: number, value: number][]): Uint8Array {
  const bytes = new Uint8Array(8 + 2 + entries.length * 12 + 4);
  const view = new DataView(bytes.buffer);
  bytes.fill(little ? 0x49 : 0x4d, 0, 2);
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, entries.length, little);
  entries.forEach(([tag, type, value], i) => {
    const at = 10 + i * 12;
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    view.setUint32(at + 4, 1, little);
    if (type === 3) view.setUint16(at + 8, value, little);
    else view.setUint32(at + 8, value, little);
  });
  return bytes;
}

describe("orientationOfTiff", () => {
  it.each([true, false])("reads SHORT and LONG, little-endian %s", (little) => {
    for (let value = 1; value <= 8; value++) {
      expect(
        orientationOfTiff(
          tiff(little, [
            [0x010f, 3, 9],
            [0x0112, 3, value],
          ]),
        ),
      ).toBe(value);
      expect(orientationOfTiff(tiff(little, [[0x0112, 4, value]]))).toBe(value);
    }
  });

  it("takes a broken block for none", () => {
    const good = tiff(true, [[0x0112, 3, 6]]);
    expect(orientationOfTiff(good)).toBe(6);
    for (let length = 0; length < good.length - 4; length++)
      expect(orientationOfTiff(good.slice(0, length))).toBe(undefined);
    expect(orientationOfTiff(tiff(true, [[0x0112, 3, 9]]))).toBe(1);
    expect(orientationOfTiff(tiff(true, [[0x0112, 3, 0]]))).toBe(1);
    expect(orientationOfTiff(tiff(true, [[0x0112, 2, 6]]))).toBe(1);
    expect(orientationOfTiff(tiff(true, []))).toBe(undefined);
    const far = tiff(true, [[0x0112, 3, 6]]);
    new DataView(far.buffer).setUint32(4, 0xfffffff0, true);
    expect(orientationOfTiff(far)).toBe(undefined);
  });
});
