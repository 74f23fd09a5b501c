import { expect, it } from "vitest";
import { readWebp } from "../../../src/io/pictures/webp-chunks.js";

const ascii = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

it("the chunks of a WebP are walked by their padded lengths, as far as the file says it goes", () => {
  const chunk = (type: string, length: number, data: number[]) => [...ascii(type), length, 0, 0, 0, ...data];
  const chunks = [...chunk("VP8X", 3, [1, 2, 3, 0]), ...chunk("EXIF", 2, [4, 5])];
  const bytes = Uint8Array.of(...ascii("RIFF"), 4 + chunks.length, 0, 0, 0, ...ascii("WEBP"), ...chunks, 9, 9, 9, 9);
  const walked = (part: Uint8Array) =>
    [...readWebp(part).chunks].map(({ type, data, complete }) => [type, [...data], complete]);
  expect(walked(bytes)).toEqual([
    ["VP8X", [1, 2, 3], true],
    ["EXIF", [4, 5], true],
  ]);
  expect(walked(bytes.subarray(0, bytes.length - 5))).toEqual([
    ["VP8X", [1, 2, 3], true],
    ["EXIF", [4], false],
  ]);
});
