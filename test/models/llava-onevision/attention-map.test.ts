import { describe, expect, test } from "vitest";
import { attentionMaps, spread } from "../../../src/models/llava-onevision/attention-map.js";
import type { LlavaOneVisionConfig } from "../../../src/models/llava-onevision/config.js";
import { packVideo } from "../../../src/models/llava-onevision/packing.js";

describe("attentionMaps", () => {
  const config = { vision: { cells: 9 } as LlavaOneVisionConfig["vision"], maxTiles: 9 };
  const one = (length: number, at: number): Float32Array => Float32Array.from({ length }, (_, i) => (i === at ? 1 : 0));
  const view = { width: 200, height: 100 };

  test("values are resampled by area, and the sum within the region is preserved", () => {
    const square = { rows: 2, columns: 2 };
    const whole = { top: 0, left: 0, height: 2, width: 2 };
    expect([...spread([1, 0, 0, 3], square, whole, 1, 1)]).toEqual([4]);
    expect([...spread([1, 0, 0, 3], square, whole, 4, 1)]).toEqual([0.5, 0.5, 1.5, 1.5]);
    expect([...spread([1, 2, 3, 4], square, { top: 0.5, left: 0, height: 1, width: 2 }, 1, 2)]).toEqual([2, 3]);
  });

  test("of a picture in a square: the borders are cut off", () => {
    const medium = { kind: "image" as const, view, segments: [] };
    // The picture's 4.5 rows of cells begin at 2.25: row 4 of the square is its middle.
    const [map] = attentionMaps(medium, one(82, 4 * 9 + 8), config);
    expect([map!.rows, map!.columns]).toEqual([5, 9]);
    const rightmost = Array.from({ length: 5 }, (_, y) => map!.values[y * 9 + 8]!);
    expect(rightmost.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 6);
    expect(rightmost[2]).toBeGreaterThan(0.5);
    const [border] = attentionMaps(medium, one(82, 0), config);
    expect(border!.values.every((value) => value === 0)).toBe(true);
  });

  test("of a picture in tiles: the whole and the tiles are added up, newlines left out", () => {
    const grid = { columns: 2, rows: 1, resizedWidth: 252, resizedHeight: 126, offsetX: 0, offsetY: 0 };
    const medium = { kind: "image" as const, view: { ...view, grid }, segments: [] };
    const at = (row: number) => attentionMaps(medium, one(81 + 9 * 19, row), config)[0]!;
    expect([at(0).rows, at(0).columns]).toEqual([9, 18]);
    // A cell of the whole is two cells of the tiles wide.
    expect([...at(0).values].filter((value) => value > 0)).toEqual([0.5, 0.5]);
    expect(at(0).values[0]).toBe(0.5);
    expect(at(81 + 19 * 3 + 17).values[18 * 3 + 17]).toBe(1);
    expect(at(81 + 18).values.every((value) => value === 0)).toBe(true);
  });

  test("of a clip: each frame has its own", () => {
    const segment = { tiles: new Uint8Array(), tileCount: 3, plan: packVideo(3, 9), key: "" };
    const medium = { kind: "video" as const, view: { ...view, frameSeconds: [0, 1, 2] }, segments: [segment] };
    const maps = attentionMaps(medium, one(76, 25 + 7), config);
    expect(maps.map(({ seconds }) => seconds)).toEqual([0, 1, 2]);
    expect(maps.map(({ values }) => values.reduce((sum, value) => sum + value, 0))).toEqual([0, 1, 0]);
    expect(maps[1]!.values[7]).toBe(1);
  });
});
