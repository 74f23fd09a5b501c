import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { type AvifPlanes, avifToRgb } from "../../../src/io/pictures/avif-colour.js";

describe("avifToRgb", () => {
  const planes = (y: number[], u: number[], v: number[], size: Partial<AvifPlanes>): AvifPlanes => ({
    width: y.length,
    height: 1,
    bits: 8,
    halfX: false,
    halfY: false,
    y: Uint8Array.from(y),
    u: Uint8Array.from(u),
    v: Uint8Array.from(v),
    ...size,
  });
  const gray = (y: number[], size: Partial<AvifPlanes> = {}) =>
    planes(y, [], [], { u: undefined, v: undefined, ...size });
  const bt601 = { matrix: 6, primaries: 1, fullRange: true };

  it("blends halved chroma by quarters, but not at the edges", () => {
    // 16 levels of U are 28 levels of blue: 16·113 >> 6.
    const blue = avifToRgb(planes([100, 100, 100, 100], [128, 144], [128, 128], { halfX: true }), bt601, "x");
    expect([...blue].filter((_, i) => i % 3 === 2)).toEqual([100, 107, 121, 128]);
  });

  it("hands the identity over and refuses matrices without a fixed conversion", () => {
    expect([...avifToRgb(planes([1], [2], [3], {}), { ...bt601, matrix: 0 }, "x")]).toEqual([3, 1, 2]);
    expect(() => avifToRgb(planes([1], [2], [3], {}), { ...bt601, matrix: 14 }, "x")).toThrow(/matrix 14/);
  });

  it("refuses the identity with halved chroma and YCgCo of limited range, and names both", () => {
    const refused = (size: Partial<AvifPlanes>, colour: Partial<typeof bt601>) => () =>
      avifToRgb(planes([1], [2], [3], size), { ...bt601, ...colour }, "a.avif");
    expect(refused({ halfX: true }, { matrix: 0 })).toThrow(/^a\.avif: .*got matrix 0, subsampled — convert/);
    expect(refused({}, { matrix: 8, fullRange: false })).toThrow(/got matrix 8, limited range —/);
    expect(refused({}, { matrix: 8, fullRange: false })).toThrow(MediaError);
    expect(refused({}, { matrix: 8 })).not.toThrow();
  });

  it("stretches limited range and clamps what lies beyond it", () => {
    const limited = { ...bt601, fullRange: false };
    const level = (y: number) => [...avifToRgb(planes([y], [128], [128], {}), limited, "x")];
    expect([16, 235].map(level)).toEqual([
      [0, 0, 0],
      [255, 255, 255],
    ]);
    expect([0, 255].map(level)).toEqual([
      [0, 0, 0],
      [255, 255, 255],
    ]);
    expect([...avifToRgb(gray([0, 16, 235, 255]), limited, "x")]).toEqual(
      [0, 0, 255, 255].flatMap((value) => [value, value, value]),
    );
  });

  it("gives gray for no chroma, whatever the depth", () => {
    const full = (bits: number, y: number[]) => [
      ...avifToRgb(gray([], { width: y.length, bits, y: Uint16Array.from(y) }), bt601, "x"),
    ];
    expect(full(10, [0, 512, 1023])).toEqual([0, 128, 255].flatMap((value) => [value, value, value]));
    expect(full(12, [0, 4095])).toEqual([0, 255].flatMap((value) => [value, value, value]));
  });

  it("divides premultiplied colours by their alpha, of which 0 leaves black", () => {
    const colours = planes([50, 50, 50, 50], [128, 128, 128, 128], [128, 128, 128, 128], {});
    const rgb = avifToRgb(colours, bt601, "x", true, gray([255, 128, 40, 0]));
    expect([...rgb].filter((_, i) => i % 3 === 0)).toEqual([50, 100, 255, 0]);
  });
});
