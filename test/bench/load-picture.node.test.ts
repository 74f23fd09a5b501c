import { expect, test } from "vitest";
import { stripedPicture } from "../../src/bench/load-picture.js";
import { readPicture } from "../../src/io/picture-input.js";

const decoded = (url: string) => readPicture(url, "stripes");

test("each number has another picture, a valid PNG", async () => {
  const [first, second] = [await decoded(await stripedPicture(0, 20)), await decoded(await stripedPicture(1, 20))];
  expect([first.width, first.height]).toEqual([20, 20]);
  expect(first.data).not.toEqual(second.data);
  expect(new Set(first.data).size).toBeGreaterThan(3);
  expect(await stripedPicture(3, 20)).toBe(await stripedPicture(3, 20));
});
