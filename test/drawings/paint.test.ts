import { expect, test } from "vitest";
import { coverage, type Figure, paint, paintOver } from "../../src/drawings/paint.js";

const BLACK = [0, 0, 0] as const;

/** Pixels that a figure covers in a picture of 100 by 100, summed. */
function areaOf(figure: Figure): number {
  let area = 0;
  coverage(figure, 100, 100, (_, share) => {
    area += share;
  });
  return area;
}

test("a figure covers its area", () => {
  const at = { x: 50, y: 50, radius: 30, color: BLACK };
  expect(areaOf({ kind: "circle", ...at }) / (Math.PI * 900)).toBeCloseTo(1, 2);
  expect(areaOf({ kind: "square", ...at })).toBeCloseTo(54 ** 2, 5);
  expect(areaOf({ kind: "triangle", ...at }) / ((60 * 1.85 * 30) / 2)).toBeCloseTo(1, 1);
  // Ten triangles of a centre, a long and a short radius.
  expect(areaOf({ kind: "star", ...at }) / (5 * 30 * 30 * 0.42 * Math.sin(Math.PI / 5))).toBeCloseTo(1, 1);
  expect(areaOf({ kind: "box", left: 10.25, top: 20, right: 12.5, bottom: 21.5, color: BLACK })).toBeCloseTo(3.375, 9);
  // What is outside the picture is not drawn.
  expect(areaOf({ kind: "box", left: -10, top: -10, right: 5, bottom: 5, color: BLACK })).toBe(25);
});

test("digits stay in their box, and differ", () => {
  const seen = new Set<string>();
  for (let digit = 0; digit < 10; digit++) {
    const covered: number[] = [];
    coverage({ kind: "digit", digit, left: 20, top: 30, height: 40, weight: 0.15, color: BLACK }, 100, 100, (pixel) =>
      covered.push(pixel),
    );
    const [xs, ys] = [covered.map((p) => p % 100), covered.map((p) => Math.floor(p / 100))];
    expect(Math.min(...xs)).toBeGreaterThanOrEqual(20);
    expect(Math.max(...xs)).toBeLessThan(20 + 0.7 * 40);
    expect([Math.min(...ys), Math.max(...ys)]).toEqual([30, 69]);
    seen.add(covered.join());
  }
  expect(seen.size).toBe(10);
});

test("later figures cover earlier ones, and half a pixel is half the colour", () => {
  const drawing = {
    width: 3,
    height: 1,
    background: [100, 100, 100],
    figures: [
      { kind: "box", left: 0, top: 0, right: 2, bottom: 1, color: BLACK },
      { kind: "box", left: 1, top: 0, right: 2.5, bottom: 1, color: [200, 0, 0] },
    ],
  } as const;
  const { data } = paint(drawing);
  expect([...data]).toEqual([0, 0, 0, 255, 200, 0, 0, 255, 150, 50, 50, 255]);
});

test("figures over transparent pixels become opaque", () => {
  const picture = { data: new Uint8ClampedArray(4), width: 1, height: 1 };
  paintOver(picture, [{ kind: "box", left: 0, top: 0, right: 1, bottom: 1, color: [1, 2, 3] }]);
  expect([...picture.data]).toEqual([1, 2, 3, 255]);
});
