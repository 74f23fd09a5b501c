import { expect, test } from "vitest";
import { rowWidth } from "../../src/drawings/digit-row.js";
import { markAt, markHeight } from "../../src/drawings/mark.js";
import { paint } from "../../src/drawings/paint.js";

test("a mark is black on white with a black border, in the middle of its place", () => {
  const drawing = { width: 60, height: 60, background: [90, 90, 90], figures: markAt(1, 30, 30, 126) } as const;
  const { data } = paint(drawing);
  const rows = Array.from({ length: 60 }, (_, y) => Array.from({ length: 60 }, (_, x) => data[4 * (60 * y + x)]!));
  const drawn = rows.flatMap((row, y) => row.flatMap((level, x) => (level === 90 ? [] : [{ x, y, level }])));
  const [xs, ys] = [drawn.map(({ x }) => x), drawn.map(({ y }) => y)];
  expect((Math.min(...xs) + Math.max(...xs) + 1) / 2).toBeCloseTo(30, -0.5);
  expect((Math.min(...ys) + Math.max(...ys) + 1) / 2).toBeCloseTo(30, -0.5);
  // The border, then white, then black strokes.
  expect(rows[Math.min(...ys)]![30]).toBe(0);
  expect(rows[Math.min(...ys) + 1]![Math.min(...xs) + 1]).toBe(255);
  expect(Math.min(...rows[30]!.slice(26, 34))).toBeLessThan(60);
});

test("numbers of two digits are as wide as their digits", () => {
  const [border] = markAt(12, 50, 50, 126);
  if (border?.kind !== "box") throw new Error("the border comes first");
  const height = markHeight(126);
  expect(border.right - border.left).toBe(Math.ceil(rowWidth("12", height, 0.19)) + 6);
  expect(border.bottom - border.top).toBe(height + 6);
});
