import { describe, expect, test } from "vitest";
import { CheckpointError, SourceError } from "../../../src/base/errors.js";
import { decodeText, wideEncoding } from "../../../src/io/text/text.js";

const utf8 = (text: string) => new TextEncoder().encode(text);
const wide = (text: string, bytesEach: 2 | 4, littleEndian: boolean) => {
  const view = new DataView(new ArrayBuffer(text.length * bytesEach));
  for (let i = 0; i < text.length; i++) {
    if (bytesEach === 2) view.setUint16(i * 2, text.charCodeAt(i), littleEndian);
    else view.setUint32(i * 4, text.charCodeAt(i), littleEndian);
  }
  return new Uint8Array(view.buffer);
};

describe("decodeText", () => {
  test("takes UTF-8, and drops the byte order mark at its start alone", () => {
    expect(decodeText(utf8("\ufeff{}\r\n"), "f")).toBe("{}\r\n");
    expect(decodeText(utf8("a\ufeffbé€😀"), "f")).toBe("a\ufeffbé€😀");
    expect(decodeText(new Uint8Array(), "f")).toBe("");
  });

  test.each([
    ["UTF-16", wide("\ufeff{}", 2, true)],
    ["UTF-16", wide("\ufeff{}", 2, false)],
    ["UTF-16", wide("{}", 2, true)],
    ["UTF-16", wide("{}", 2, false)],
    ["UTF-32", wide("\ufeff{}", 4, true)],
    ["UTF-32", wide("\ufeff{}", 4, false)],
    ["UTF-32", wide("{}", 4, true)],
  ])("names %s", (name, bytes) => {
    expect(wideEncoding(bytes)).toBe(name);
    expect(() => decodeText(bytes, "f")).toThrow(
      `f: expected UTF-8 text, got ${name} — save it as UTF-8: iconv -f ${name}`,
    );
  });

  // Table 3-7 of the Unicode Standard: the offsets at which decoders find a fault.
  test.each<[number[], string]>([
    [[0x61, 0xff], "byte 0xff at offset 1"],
    [[0x61, 0x80], "byte 0x80 at offset 1"],
    [[0xc1, 0xbf], "byte 0xc1 at offset 0"],
    [[0xe0, 0x9f, 0xbf], "byte 0xe0 at offset 0"],
    [[0xed, 0xa0, 0x80], "byte 0xed at offset 0"],
    [[0xf0, 0x8f, 0xbf, 0xbf], "byte 0xf0 at offset 0"],
    [[0xf4, 0x90, 0x80, 0x80], "byte 0xf4 at offset 0"],
    [[0xf5, 0x80, 0x80, 0x80], "byte 0xf5 at offset 0"],
    [[0xc3, 0xa9, 0xe2, 0x82, 0x61], "byte 0xe2 at offset 2"],
    [[0x61, 0xe2, 0x82], "the end of it at offset 3"],
  ])("names the place of %j", (bytes, place) => {
    expect(() => decodeText(Uint8Array.from(bytes), "f")).toThrow(place);
  });

  test("counts from where the bytes begin in their file, in the class of fault asked for", () => {
    const options = { Fault: CheckpointError, offsetBytes: 100 };
    expect(() => decodeText(Uint8Array.of(0x61, 0xff), "f", options)).toThrow(CheckpointError);
    expect(() => decodeText(Uint8Array.of(0x61, 0xff), "f", options)).toThrow("at offset 101");
    expect(() => decodeText(Uint8Array.of(0xff), "f")).toThrow(SourceError);
  });
});
