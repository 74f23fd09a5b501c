import { describe, expect, it } from "vitest";
import {
  applyOrientation,
  inverseOrientation,
  type Orientation,
  orientationOfTurn,
} from "../../../src/io/pictures/orientation.js";

describe("applyOrientation", () => {
  // Six pixels, 3 wide and 2 high, numbered in reading order.
  const source = { width: 3, height: 2, data: Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((n) => [n, 10 * n, 20 * n])) };
  it.each<[Orientation, number[][]]>([
    [
      1,
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ],
    [
      2,
      [
        [3, 2, 1],
        [6, 5, 4],
      ],
    ],
    [
      3,
      [
        [6, 5, 4],
        [3, 2, 1],
      ],
    ],
    [
      4,
      [
        [4, 5, 6],
        [1, 2, 3],
      ],
    ],
    [
      5,
      [
        [1, 4],
        [2, 5],
        [3, 6],
      ],
    ],
    [
      6,
      [
        [4, 1],
        [5, 2],
        [6, 3],
      ],
    ],
    [
      7,
      [
        [6, 3],
        [5, 2],
        [4, 1],
      ],
    ],
    [
      8,
      [
        [3, 6],
        [2, 5],
        [1, 4],
      ],
    ],
  ])("turns by %i", (orientation, expected) => {
    const turned = applyOrientation(source, orientation);
    expect([turned.width, turned.height]).toEqual([expected[0]!.length, expected.length]);
    expect([...turned.data]).toEqual(expected.flat().flatMap((n) => [n, 10 * n, 20 * n]));
  });
});

const ALL: readonly Orientation[] = [1, 2, 3, 4, 5, 6, 7, 8];

it("the inverse undoes every orientation", () => {
  const picture = { width: 2, height: 3, data: Uint8Array.from({ length: 18 }, (_, i) => i) };
  for (const orientation of ALL) {
    const turned = applyOrientation(picture, orientation);
    expect(applyOrientation(turned, inverseOrientation(orientation)), `${orientation}`).toEqual(picture);
  }
});

it("a turn and an exchange of left and right are one orientation", () => {
  const picture = { width: 2, height: 1, data: Uint8Array.of(1, 1, 1, 2, 2, 2) };
  for (const degrees of [0, 90, 180, 270]) {
    const turned = applyOrientation(picture, orientationOfTurn(degrees, false));
    const flipped = applyOrientation(turned, 2);
    expect(applyOrientation(picture, orientationOfTurn(degrees, true)), `${degrees}°`).toEqual(flipped);
  }
  expect([90, 180, 270].map((degrees) => orientationOfTurn(degrees, false))).toEqual([6, 3, 8]);
  expect(orientationOfTurn(45, false)).toBe(1);
});
