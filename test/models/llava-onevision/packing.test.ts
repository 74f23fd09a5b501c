import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { type CanvasSize, planAnyres } from "../../../src/io/pictures/anyres.js";
import {
  capCells,
  type PackingPlan,
  packImage,
  packPadImage,
  packVideo,
  padImageTokens,
  planImage,
  pooledCells,
  videoTokens,
} from "../../../src/models/llava-onevision/packing.js";
import { readFixtureJson } from "../../support/fixture.js";

interface Vectors {
  anyres: {
    w: number;
    h: number;
    grid: [number, number];
    kept_rc: [number, number];
    final_rc: [number, number];
    tokens: number;
  }[];
  floor_division_traps: { kept_rc: [number, number]; final_rc: [number, number] }[];
}

const vectors = await readFixtureJson<Vectors>("llava-onevision-vectors.json");

function gridList(tileSide: number): CanvasSize[] {
  const list: CanvasSize[] = [];
  for (let a = 1; a <= 6; a++) for (let b = 1; b <= 6; b++) list.push([tileSide * a, tileSide * b]);
  return list;
}

/** Runs a plan on the CPU: `features` gives the value of a feature row, the newline is −1. */
function execute(plan: PackingPlan, features: (row: number) => number): number[] {
  const blended: number[] = [];
  const step = plan.resample;
  for (let r = 0; step && r < step.rows; r++) {
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => {
      const row = step.sources[r * 4 + i]!;
      expect(row).toBeLessThan(plan.featureRows);
      return features(row);
    }) as [number, number, number, number];
    const ly = step.weights[r * 2]!;
    const lx = step.weights[r * 2 + 1]!;
    blended.push((1 - ly) * ((1 - lx) * a + lx * b) + ly * ((1 - lx) * c + lx * d));
  }
  const sequence = new Array<number>(plan.tokens).fill(Number.NaN);
  for (const from of ["features", "resampled", "newline"] as const) {
    for (const run of plan.copies.filter((copy) => copy.from === from)) {
      for (let i = 0; i < run.count; i++) {
        const [row, at] = [run.sourceRow + i, run.targetRow + i];
        expect(sequence[at], `row ${at} is written once`).toBeNaN();
        if (from === "features") expect(row).toBeLessThan(plan.featureRows);
        sequence[at] = from === "newline" ? -1 : from === "features" ? features(row) : blended[row]!;
      }
    }
  }
  expect(sequence.some(Number.isNaN)).toBe(false);
  return sequence;
}

/** The specification's recipe, step by step on whole maps: stitch, crop, resample, newlines. In float64. */
function reference(width: number, height: number, cells: number, tileSide: number, features: (row: number) => number) {
  const plan = planAnyres(width, height, gridList(tileSide), tileSide);
  const packing = planImage(width, height, plan, cells, 9);
  const map: number[][] = [];
  for (let y = 0; y < plan.rows * cells; y++) {
    const line: number[] = [];
    for (let x = 0; x < plan.columns * cells; x++) {
      const tile = Math.floor(y / cells) * plan.columns + Math.floor(x / cells);
      line.push(features((1 + tile) * cells * cells + (y % cells) * cells + (x % cells)));
    }
    map.push(line);
  }
  let cropped = map
    .slice(packing.cropTop, packing.cropTop + packing.kept[0])
    .map((line) => line.slice(packing.cropLeft, packing.cropLeft + packing.kept[1]));
  if (packing.resampled) {
    const source = cropped;
    const at = (o: number, from: number, to: number) => {
      const position = Math.max(0, (o + 0.5) * (from / to) - 0.5);
      const low = Math.floor(position);
      return { low, high: Math.min(low + 1, from - 1), weight: position - low };
    };
    cropped = Array.from({ length: packing.final[0] }, (_, y) =>
      Array.from({ length: packing.final[1] }, (_, x) => {
        const v = at(y, packing.kept[0], packing.final[0]);
        const h = at(x, packing.kept[1], packing.final[1]);
        const line = (row: number) => (1 - h.weight) * source[row]![h.low]! + h.weight * source[row]![h.high]!;
        return (1 - v.weight) * line(v.low) + v.weight * line(v.high);
      }),
    );
  }
  const base = Array.from({ length: cells * cells }, (_, row) => features(row));
  return { plan, packing, sequence: [...base, ...cropped.flatMap((line) => [...line, -1])] };
}

/** A value for each feature row that neither order nor neighbours can imitate. */
const scatter = (row: number) => ((row * 7919) % 1009) / 1009 + 1;

describe("anyres picture", () => {
  it("counts the tokens of all 700 sizes", () => {
    expect(vectors.anyres).toHaveLength(700);
    const grids = gridList(384);
    for (const v of vectors.anyres) {
      const packing = planImage(v.w, v.h, planAnyres(v.w, v.h, grids, 384), 27, 9);
      expect([packing.kept, packing.final, packing.tokens], `${v.w}×${v.h}`).toEqual([v.kept_rc, v.final_rc, v.tokens]);
      expect(packing.resampled).toBe(v.kept_rc[0] * v.kept_rc[1] >= 7939);
    }
  });

  it("divides as Python does in all 49 traps", () => {
    expect(vectors.floor_division_traps).toHaveLength(49);
    for (const trap of vectors.floor_division_traps) {
      const [rows, columns] = trap.kept_rc;
      expect(capCells(rows, columns, 27, 9), `${rows}×${columns}`).toEqual(trap.final_rc);
      const ratio = Math.sqrt((rows * columns) / 6561);
      expect([Math.floor(rows / ratio), Math.floor(columns / ratio)], "is a trap").not.toEqual(trap.final_rc);
    }
  });

  it("caps above ten per cent over, not before", () => {
    expect(capCells(98, 81, 27, 9)).toEqual([98, 81]);
    expect(capCells(7938, 1, 27, 9)).toEqual([7938, 1]);
    expect(capCells(162, 162, 27, 9)).toEqual([81, 81]);
  });

  it.each([
    [640, 480],
    [480, 640],
    [423, 47],
    [10_000, 100],
    [1280, 720],
    [2305, 1],
    [944, 1153],
    [1921, 582],
    [1920, 1080],
    [4000, 3000],
  ])("%i×%i packs to the specification's sequence", (width, height) => {
    const { plan, packing, sequence } = reference(width, height, 27, 384, scatter);
    const rows = packImage(packing, plan, 27);
    expect(rows.tokens).toBe(packing.tokens);
    expect(rows.resample !== undefined).toBe(packing.resampled);
    const got = execute(rows, scatter);
    expect(got).toHaveLength(sequence.length);
    const worst = Math.max(...got.map((value, i) => Math.abs(value - sequence[i]!)));
    // float32 weights against float64 ones; without resampling nothing is computed at all.
    expect(worst).toBeLessThanOrEqual(packing.resampled ? 2e-5 : 0);
  });

  it.each([
    [126, 126],
    [500, 90],
    [700, 700],
    [751, 640],
  ])("%i×%i packs for a checkpoint with 9 cells a tile", (width, height) => {
    const { plan, packing, sequence } = reference(width, height, 9, 126, scatter);
    const got = execute(packImage(packing, plan, 9), scatter);
    expect(got).toHaveLength(sequence.length);
    expect(Math.max(...got.map((value, i) => Math.abs(value - sequence[i]!)))).toBeLessThan(2e-5);
  });

  it("refuses a shape that leaves no cell", () => {
    expect(() => planImage(1_000_000, 1, { columns: 1000, rows: 1 }, 9, 1)).toThrow(MediaError);
  });
});

describe("several pictures", () => {
  it("gives each its features and one newline", () => {
    expect(padImageTokens(27)).toBe(730);
    const got = execute(packPadImage(9), scatter);
    expect(got).toEqual([...Array.from({ length: 81 }, (_, row) => scatter(row)), -1]);
  });
});

describe("video", () => {
  it("counts ⌈cells/2⌉² a frame and one newline", () => {
    expect(pooledCells(27)).toBe(14);
    expect(pooledCells(9)).toBe(5);
    expect(videoTokens(16, 27)).toBe(16 * 196 + 1);
    expect(packVideo(3, 27).tokens).toBe(videoTokens(3, 27));
  });

  it("pools with the specification's source cells and weights", () => {
    const { resample } = packVideo(2, 27);
    const expected: [number, number][] = [
      [0, 0.464286],
      [2, 0.392857],
      [4, 0.321429],
      [6, 0.25],
      [8, 0.178571],
      [10, 0.107143],
      [12, 0.035714],
      [13, 0.964286],
      [15, 0.892857],
      [17, 0.821429],
      [19, 0.75],
      [21, 0.678571],
      [23, 0.607143],
      [25, 0.535714],
    ];
    for (let frame = 0; frame < 2; frame++) {
      for (let y = 0; y < 14; y++) {
        for (let x = 0; x < 14; x++) {
          const row = frame * 196 + y * 14 + x;
          const [top, ly] = expected[y]!;
          const [left, lx] = expected[x]!;
          const upperLeft = frame * 729 + top * 27 + left;
          expect([...resample!.sources.subarray(row * 4, row * 4 + 4)]).toEqual([
            upperLeft,
            upperLeft + 1,
            upperLeft + 27,
            upperLeft + 28,
          ]);
          expect(resample!.weights[row * 2]).toBeCloseTo(ly, 5);
          expect(resample!.weights[row * 2 + 1]).toBeCloseTo(lx, 5);
        }
      }
    }
  });

  it("keeps the frames in time order and ends with the newline", () => {
    const got = execute(packVideo(4, 9), (row) => Math.floor(row / 81));
    const expected = [0, 1, 2, 3].flatMap((frame) => new Array<number>(25).fill(frame));
    expect(got.slice(0, -1).map((v) => Math.round(v * 1e6) / 1e6)).toEqual(expected);
    expect(got.at(-1)).toBe(-1);
  });

  it("refuses a video without a frame", () => {
    expect(() => packVideo(0, 27)).toThrow(MediaError);
  });
});
