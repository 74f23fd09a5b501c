import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { type FramePlanes, planesToRgb } from "../../../src/io/pictures/yuv.js";
import { random } from "../../support/random.js";

/** k of cy, crv, cbu, -cgu, -cgv, as the reference's table has them. */
const K = {
  "smpte170m limited": [9539, 13075, 16525, -3209, -6660],
  "smpte170m full": [8192, 11485, 14516, -2819, -5850],
  "bt709 limited": [9539, 14686, 17305, -1747, -4366],
  "bt709 full": [8192, 12901, 15201, -1534, -3835],
} as const;

const clamp = (value: number): number => Math.max(0, Math.min(255, value));

/** The reference's formula for one pixel of 8 bits. */
function pixel(k: readonly number[], full: boolean, y: number, u: number, v: number): number[] {
  const [cy, crv, cbu, cgu, cgv] = k as [number, number, number, number, number];
  const luma = ((y - (full ? 0 : 16)) * 8 * cy) >> 16;
  const cu = (u - 128) * 8;
  const cv = (v - 128) * 8;
  return [luma + ((cv * crv) >> 16), luma + ((cu * cgu) >> 16) + ((cv * cgv) >> 16), luma + ((cu * cbu) >> 16)].map(
    clamp,
  );
}

/** Random planes of a planar format with `padding` bytes behind each row. */
function planar(format: string, width: number, height: number, padding: number, seed: number): FramePlanes {
  const next = random(seed);
  const bytes = /P1[02]$/.test(format) ? 2 : 1;
  const max = format.endsWith("P12") ? 4096 : format.endsWith("P10") ? 1024 : 256;
  const wide = format.startsWith("I444") ? width : (width + 1) >> 1;
  const high = format.startsWith("I420") ? (height + 1) >> 1 : height;
  const sizes = [[width, height] as const, [wide, high] as const, [wide, high] as const];
  const planes: { offset: number; stride: number }[] = [];
  let length = 0;
  for (const [columns, rows] of sizes) {
    planes.push({ offset: length, stride: columns * bytes + padding });
    length += (columns * bytes + padding) * rows;
  }
  const data = new Uint8Array(length);
  const view = new DataView(data.buffer);
  for (let at = 0; at + bytes <= length; at += bytes) {
    if (bytes === 1) data[at] = next() * max;
    else view.setUint16(at, next() * max, true);
  }
  return { format, width, height, data, planes };
}

function sample(frame: FramePlanes, plane: number, x: number, y: number): number {
  const { offset, stride } = frame.planes[plane]!;
  if (/P1[02]$/.test(frame.format)) return new DataView(frame.data.buffer).getUint16(offset + y * stride + 2 * x, true);
  return frame.data[offset + y * stride + x]!;
}

describe("planesToRgb", () => {
  it.each(Object.keys(K) as (keyof typeof K)[])("%s is the reference's arithmetic for every level", (name) => {
    const [matrix, range] = name.split(" ") as [string, string];
    const colour = { matrix, fullRange: range === "full" };
    for (const format of ["I420", "I422", "I444"]) {
      for (const [width, height, padding] of [
        [64, 66, 0],
        [17, 9, 5],
        [1, 1, 0],
      ] as const) {
        const frame = planar(format, width, height, padding, 7);
        const { data } = planesToRgb(frame, colour, "x");
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            const cx = format === "I444" ? x : x >> 1;
            const cy = format === "I420" ? y >> 1 : y;
            const [luma, u, v] = [sample(frame, 0, x, y), sample(frame, 1, cx, cy), sample(frame, 2, cx, cy)];
            const at = (y * width + x) * 3;
            expect([...data.slice(at, at + 3)]).toEqual(pixel(K[name], colour.fullRange, luma, u, v));
          }
        }
      }
    }
  });

  it("takes smpte170m, limited, where nothing is named", () => {
    const frame = planar("I420", 8, 8, 0, 1);
    expect(planesToRgb(frame, { matrix: null, fullRange: null }, "x")).toEqual(
      planesToRgb(frame, { matrix: "smpte170m", fullRange: false }, "x"),
    );
    expect(planesToRgb(frame, { matrix: "bt470bg", fullRange: false }, "x")).toEqual(
      planesToRgb(frame, { matrix: "smpte170m", fullRange: false }, "x"),
    );
  });

  it("reads interleaved chroma in either order, and passes over alpha", () => {
    const frame = planar("I420", 9, 7, 3, 3);
    const colour = { matrix: "bt709", fullRange: false };
    const expected = planesToRgb(frame, colour, "x");
    for (const format of ["NV12", "NV21"]) {
      const luma = frame.data.slice(0, frame.planes[1]!.offset);
      const chroma = new Uint8Array(5 * 2 * 4);
      for (let y = 0; y < 4; y++) {
        for (let x = 0; x < 5; x++) {
          chroma[y * 10 + 2 * x + (format === "NV12" ? 0 : 1)] = sample(frame, 1, x, y);
          chroma[y * 10 + 2 * x + (format === "NV12" ? 1 : 0)] = sample(frame, 2, x, y);
        }
      }
      const data = new Uint8Array([...luma, ...chroma]);
      const planes = [frame.planes[0]!, { offset: luma.length, stride: 10 }];
      expect(planesToRgb({ ...frame, format, data, planes }, colour, "x")).toEqual(expected);
    }
    const planes = [...frame.planes, { offset: frame.data.length, stride: 9 }];
    const data = new Uint8Array([...frame.data, ...new Uint8Array(63)]);
    expect(planesToRgb({ ...frame, format: "I420A", data, planes }, colour, "x")).toEqual(expected);
  });

  it("repeats the last chroma column and row where a decoder leaves them out", () => {
    const whole = planar("I420", 5, 5, 0, 4);
    // 2×2 instead of 3×3 chroma samples.
    const planes = [whole.planes[0]!, { offset: 25, stride: 2 }, { offset: 29, stride: 2 }];
    const data = whole.data.slice(0, 33);
    const { data: rgb } = planesToRgb({ ...whole, data, planes }, { matrix: "bt709", fullRange: true }, "x");
    const corner = pixel(K["bt709 full"], true, data[24]!, data[28]!, data[32]!);
    expect([...rgb.slice(72)]).toEqual(corner);
  });

  it.each(["I420P10", "I422P10", "I444P12"])("%s is within one level of its 8-bit neighbours", (format) => {
    const frame = planar(format, 33, 18, 2, 5);
    const shift = format.endsWith("P12") ? 4 : 2;
    for (const [name, k] of Object.entries(K)) {
      const [matrix, range] = name.split(" ") as [string, string];
      const { data } = planesToRgb(frame, { matrix, fullRange: range === "full" }, "x");
      for (let y = 0; y < 18; y++) {
        for (let x = 0; x < 33; x++) {
          const cx = format.startsWith("I444") ? x : x >> 1;
          const cy = format.startsWith("I420") ? y >> 1 : y;
          const levels = [sample(frame, 0, x, y), sample(frame, 1, cx, cy), sample(frame, 2, cx, cy)];
          const [low, high] = [0, 1].map((up) => levels.map((level) => (level >> shift) + up));
          // Luma and chroma may be rounded apart: the range over all corners, and one more for the roundings.
          const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => {
            const [l, u, v] = [0, 1, 2].map((c) => ((bits >> c) & 1 ? high : low)![c]!);
            return pixel(k, range === "full", l!, u!, v!);
          });
          for (let c = 0; c < 3; c++) {
            const value = data[(y * 33 + x) * 3 + c]!;
            expect(value).toBeGreaterThanOrEqual(Math.min(...corners.map((corner) => corner[c]!)) - 1);
            expect(value).toBeLessThanOrEqual(Math.max(...corners.map((corner) => corner[c]!)) + 1);
          }
        }
      }
    }
  });

  it("reorders RGB", () => {
    const data = Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 0, 9, 9, 9, 9);
    const frame = { width: 2, height: 1, data, planes: [{ offset: 0, stride: 12 }] };
    const colour = { matrix: "rgb", fullRange: true };
    expect(planesToRgb({ ...frame, format: "RGBX" }, colour, "x").data).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6));
    expect(planesToRgb({ ...frame, format: "BGRA" }, colour, "x").data).toEqual(Uint8Array.of(3, 2, 1, 6, 5, 4));
  });

  it("names what it cannot convert", () => {
    const frame = planar("I420", 2, 2, 0, 6);
    const colour = { matrix: "bt709", fullRange: false };
    expect(() => planesToRgb({ ...frame, format: "P016" }, colour, "clip")).toThrow(MediaError);
    expect(() => planesToRgb(frame, { matrix: "ycgco", fullRange: false }, "clip")).toThrow(/clip.*ycgco/);
  });
});
