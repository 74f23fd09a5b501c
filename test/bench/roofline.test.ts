import { expect, test } from "vitest";
import { roofline } from "../../src/bench/roofline.js";
import { measurement } from "../support/measurement.js";

const peak = { gflops: 1000, loop: "", gigabytesPerSecond: 100 };
/** A measurement at an arithmetic intensity. */
const at = (name: string, gflops: number, intensity: number) =>
  measurement({ name, flops: 1, gflops, gigabytesPerSecond: gflops / intensity });

interface Dot {
  readonly x: number;
  readonly y: number;
  readonly title: string;
}

function dotsOf(svg: string): Dot[] {
  const found = svg.matchAll(/<circle[^>]* cx="([^"]+)" cy="([^"]+)"[^>]*><title>([^<]*)/g);
  return [...found].map(([, x, y, title]) => ({ x: Number(x), y: Number(y), title: title! }));
}

function roofOf(svg: string): { x: number; y: number }[] {
  const points = /<polyline[^>]* points="([^"]+)"/.exec(svg)![1]!;
  return points.split(" ").map((point) => {
    const [x, y] = point.split(",").map(Number);
    return { x: x!, y: y! };
  });
}

test("dots are at their intensity and speed, with respect to the roof", () => {
  // At 1 FLOP per byte memory allows 100 GFLOP/s, at 100 arithmetic allows 1000.
  const svg = roofline([at("half", 50, 1), at("full", 1000, 100), at("cached", 200, 1)], peak);
  const [half, full, cached] = dotsOf(svg) as [Dot, Dot, Dot];
  const [start, ridge, end] = roofOf(svg) as [Dot, Dot, Dot];
  // Both axes are logarithmic, so the memory roof rises in a straight line.
  const decade = (ridge.x - half.x) / 1;
  expect((full.x - ridge.x) / decade).toBeCloseTo(1, 2);
  expect(ridge.y).toBe(full.y);
  expect(end.y).toBe(full.y);
  const roofAt = (x: number): number => start.y + ((x - start.x) / (ridge.x - start.x)) * (ridge.y - start.y);
  // Downwards is slower in SVG.
  expect(half.y).toBeGreaterThan(roofAt(half.x));
  expect(cached.y).toBeLessThan(roofAt(cached.x));
  expect(half.title).toBe("1: half f32, 50.0 GFLOP/s, 50.0 GB/s");
});

test("labels are the numbers of the measurements, and cover neither each other nor dots", () => {
  const run = [
    measurement({ name: "copy", gigabytesPerSecond: 50 }),
    ...Array.from({ length: 12 }, (_, i) => at("same", 50 + i / 10, 1)),
    at("apart", 5, 100),
  ];
  const svg = roofline(run, peak);
  expect(dotsOf(svg)).toHaveLength(13);
  const labels = [...svg.matchAll(/class="label" x="([^"]+)" y="([^"]+)"[^>]*>(\d+)</g)].map(([, x, y, number]) => ({
    x: Number(x),
    y: Number(y),
    number: Number(number),
  }));
  // The first one has no arithmetic: it has no dot, and keeps its number.
  expect(labels.map(({ number }) => number)).not.toContain(1);
  expect(labels.map(({ number }) => number)).toEqual(expect.arrayContaining([2, 14]));
  for (const one of labels) {
    for (const other of labels) {
      if (one === other) continue;
      expect(Math.abs(one.x - other.x) > 15 || Math.abs(one.y - other.y) > 11).toBe(true);
    }
  }
});

test("without arithmetic there is no chart", () => {
  expect(roofline([measurement({ name: "copy", gigabytesPerSecond: 50 })], peak)).toBe("");
  expect(roofline([], peak)).toBe("");
});
