import { describe, expect, it } from "vitest";
import { CheckpointError, MediaError } from "../../../src/base/errors.js";
import {
  type CanvasSize,
  canvasSizes,
  cutTiles,
  frameTile,
  padTile,
  planAnyres,
  selectGrid,
} from "../../../src/io/pictures/anyres.js";
import { resizeBicubic } from "../../../src/io/pictures/resize.js";
import { readFixtureJson } from "../../support/fixture.js";
import { base384 } from "../../support/pillow.js";
import { sha256, testPicture } from "../../support/pixels.js";

interface Vectors {
  anyres: { w: number; h: number; grid: [number, number]; resized: [number, number]; paste: [number, number] }[];
  pillow_bicubic: {
    w: number;
    h: number;
    base384: string;
    canvas_wh: [number, number];
    canvas: string;
    tiles: string[];
    pad_square384: string;
  }[];
}

const vectors = await readFixtureJson<Vectors>("llava-onevision-vectors.json");

function gridList(tileSide: number): CanvasSize[] {
  const list: CanvasSize[] = [];
  for (let a = 1; a <= 6; a++) for (let b = 1; b <= 6; b++) list.push([tileSide * a, tileSide * b]);
  return list;
}
const grids = gridList(384);

describe("planAnyres", () => {
  it("places all 700 sizes as the reference does", () => {
    expect(vectors.anyres).toHaveLength(700);
    for (const v of vectors.anyres) {
      expect(planAnyres(v.w, v.h, grids, 384), `${v.w}×${v.h}`).toEqual({
        columns: v.grid[0],
        rows: v.grid[1],
        resizedWidth: v.resized[0],
        resizedHeight: v.resized[1],
        offsetX: v.paste[0],
        offsetY: v.paste[1],
      });
    }
  });

  it("follows the tile side of the checkpoint", () => {
    // 126-pixel tiles: the same shapes as 384-pixel tiles when the picture shrinks by the same factor.
    expect(planAnyres(252, 126, gridList(126), 126)).toEqual({
      columns: 2,
      rows: 1,
      resizedWidth: 252,
      resizedHeight: 126,
      offsetX: 0,
      offsetY: 0,
    });
    expect(planAnyres(210, 158, gridList(126), 126)).toMatchObject({ columns: 2, rows: 2, resizedWidth: 252 });
  });

  it("refuses a canvas that is not made of whole tiles, an empty list and an empty picture", () => {
    expect(() => planAnyres(100, 100, [[400, 384]], 384)).toThrow(CheckpointError);
    expect(() => planAnyres(100, 100, [], 384)).toThrow(CheckpointError);
    expect(() => planAnyres(0, 100, grids, 384)).toThrow(MediaError);
  });
});

describe("selectGrid", () => {
  it("takes the first of equals, and the least area when nothing can be kept", () => {
    expect(
      selectGrid(384, 384, [
        [768, 384],
        [384, 768],
      ]),
    ).toEqual([768, 384]);
    expect(selectGrid(100_000, 1, grids)).toEqual([384, 384]);
  });

  it("reads the checkpoint's pairs as height, width", () => {
    expect(canvasSizes([[384, 768]])).toEqual([[768, 384]]);
    expect(
      selectGrid(
        700,
        300,
        canvasSizes([
          [768, 384],
          [384, 768],
        ]),
      ),
    ).toEqual([768, 384]);
    expect(() => canvasSizes([[384]])).toThrow(CheckpointError);
    expect(() => canvasSizes([[384, 0]])).toThrow(CheckpointError);
  });
});

describe("tiles", () => {
  it.each(vectors.pillow_bicubic.map((v) => [`${v.w}×${v.h}`, v] as const))(
    "of %s have Pillow's hashes",
    async (_, v) => {
      const picture = testPicture(v.w, v.h);
      const plan = planAnyres(v.w, v.h, grids, 384);
      expect([plan.columns * 384, plan.rows * 384]).toEqual(v.canvas_wh);
      const tiles = cutTiles(picture, plan, 384);
      const tileBytes = 384 * 384 * 3;
      const hashes: string[] = [];
      for (let at = 0; at < tiles.length; at += tileBytes)
        hashes.push(await sha256(tiles.subarray(at, at + tileBytes)));
      expect(hashes).toEqual([base384(v), ...v.tiles]);
      expect(await sha256(padTile(picture, 384, 127))).toBe(v.pad_square384);
      expect(await sha256(frameTile(picture, 384))).toBe(base384(v));
    },
  );

  it("put the canvas back together, border black", () => {
    const picture = testPicture(50, 20);
    const side = 14;
    const plan = planAnyres(50, 20, [[42, 28]], side);
    expect(plan).toEqual({ columns: 3, rows: 2, resizedWidth: 42, resizedHeight: 17, offsetX: 0, offsetY: 5 });
    const tiles = cutTiles(picture, plan, side);
    const resized = resizeBicubic(picture, 42, 17);
    for (let y = 0; y < 28; y++) {
      for (let x = 0; x < 42; x++) {
        const tile = 1 + Math.floor(y / side) * 3 + Math.floor(x / side);
        const at = ((tile * side + (y % side)) * side + (x % side)) * 3;
        const inside = y >= 5 && y < 22;
        const from = ((y - 5) * 42 + x) * 3;
        const expected = inside ? [...resized.data.subarray(from, from + 3)] : [0, 0, 0];
        expect([...tiles.subarray(at, at + 3)]).toEqual(expected);
      }
    }
  });

  it("never alias the picture they come from", () => {
    const picture = testPicture(14, 14);
    expect(padTile(picture, 14, 127)).toEqual(picture.data);
    expect(padTile(picture, 14, 127)).not.toBe(picture.data);
    expect(frameTile(picture, 14)).not.toBe(picture.data);
  });
});
