import { expect, it } from "vitest";
import { jpegSegments } from "../../../src/io/pictures/jpeg-segments.js";

it("the segments of a JPEG are walked to its end, over fill bytes and restart markers", () => {
  const scan = [0xff, 0xda, 0, 3, 9, 1, 0xff, 0, 2, 0xff, 0xd0, 3];
  const bytes = Uint8Array.of(0xff, 0xd8, 0xff, 0xff, 0xe1, 0, 4, 7, 8, ...scan, 0xff, 0xd9, 5, 5);
  expect([...jpegSegments(bytes)].map(({ marker, start, end, payload }) => [marker, start, end, [...payload]])).toEqual(
    [
      [0xe1, 3, 9, [7, 8]],
      [0xda, 9, 21, [9]],
      [0xd9, 21, 23, []],
    ],
  );
  // Cut within a segment, within a length and within the scan.
  expect([8, 6, 15].map((end) => [...jpegSegments(bytes.subarray(0, end))].map(({ marker }) => marker))).toEqual([
    [],
    [],
    [0xe1, 0xda],
  ]);
});
