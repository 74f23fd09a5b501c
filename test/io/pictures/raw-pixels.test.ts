import { expect, test } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { fromPixels } from "../../../src/io/pictures/raw-pixels.js";

const RGB = [1, 2, 3, 4, 5, 6];

test.each([
  ["RGB", Uint8Array.of(...RGB)],
  ["RGBA, whose alpha is dropped", Uint8ClampedArray.of(1, 2, 3, 0, 4, 5, 6, 128)],
])("%s", (_, data) => {
  const picture = fromPixels({ data, width: 2, height: 1 }, "here");
  expect([...picture.data]).toEqual(RGB);
  expect(picture).toMatchObject({ width: 2, height: 1, label: "here" });
});

test("the caller's array is copied", () => {
  const data = Uint8Array.of(...RGB);
  const picture = fromPixels({ data, width: 1, height: 2 }, "here");
  data.fill(0);
  expect([...picture.data]).toEqual(RGB);
});

test.each<[unknown, RegExp]>([
  [{ data: Uint8Array.of(1), width: 0, height: 1 }, /here: expected a width and a height .* got 0×1/],
  [{ data: Uint8Array.of(1), width: 1.5, height: 2 }, /got 1\.5×2/],
  [{ data: Uint8Array.of(1), height: 2 }, /got undefined×2/],
  [{ data: RGB, width: 2, height: 1 }, /expected pixels as a Uint8Array or Uint8ClampedArray, got an array/],
  [{ data: Float32Array.from(RGB), width: 2, height: 1 }, /got a Float32Array/],
  [{ data: Uint8Array.of(...RGB), width: 3, height: 1 }, /expected 9 bytes of RGB or 12 of RGBA for 3×1, got 6 bytes/],
])("refuses %j", (pixels, message) => {
  const read = () => fromPixels(pixels as Parameters<typeof fromPixels>[0], "here");
  expect(read).toThrow(MediaError);
  expect(read).toThrow(message);
});
