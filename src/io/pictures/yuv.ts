/**
 * Converts the planes of a decoded frame to RGB8 in the reference's fixed-point arithmetic: nearest-neighbour chroma, 16-bit factors,
 * each product rounded down separately. Identical to FFmpeg's conversion for 8-bit 4:2:0 of even size.
 *
 * With 8-bit y, u, v and k(c) = (c·8192 + 32768) >> 16:
 *
 *     Y = ((y − oy)·8·k(cy)) >> 16, U = (u − 128)·8, V = (v − 128)·8
 *     R = Y + ((V·k(crv)) >> 16), G = Y + ((U·k(−cgu)) >> 16) + ((V·k(−cgv)) >> 16), B = Y + ((U·k(cbu)) >> 16)
 *
 * Samples of more bits enter the products with full precision. Source: libswscale, `yuv2rgb.c`.
 */
import { MediaError } from "../../base/errors.js";
import type { Pixels } from "./resize.js";

/** Offset and stride of a plane in bytes, as returned by `VideoFrame.copyTo`. */
export interface Plane {
  offset: number;
  stride: number;
}

/** The planes of a decoded frame, cropped to the visible rectangle of `width`×`height`. */
export interface FramePlanes {
  /** WebCodecs pixel format, e.g. "I420", "NV12", "I420P10", "BGRX". */
  format: string;
  width: number;
  height: number;
  data: Uint8Array;
  planes: readonly Plane[];
}

export interface FrameColour {
  /** WebCodecs name of the matrix; null means "smpte170m", as in the reference. */
  matrix: string | null;
  /** Whether luma ranges from 0 to 255 instead of 16 to 235; null means false. */
  fullRange: boolean | null;
}

/** crv, cbu, cgu, cgv by matrix: the factors of Cr in red, Cb in blue, Cb in green and Cr in green, times 65536. */
const FACTORS: Record<string, readonly [number, number, number, number]> = {
  smpte170m: [104597, 132201, 25675, 53279],
  bt470bg: [104597, 132201, 25675, 53279],
  bt709: [117489, 138438, 13975, 34925],
  "bt2020-ncl": [110013, 140363, 12277, 42626],
};

/** Lookup tables: the contribution of each sample value to the channels. */
interface Tables {
  luma: Int16Array;
  redOfV: Int16Array;
  greenOfU: Int16Array;
  greenOfV: Int16Array;
  blueOfU: Int16Array;
}

const cache = new Map<string, Tables>();

function tablesFor(matrix: string, fullRange: boolean, bits: number, label: string): Tables {
  const key = `${matrix} ${fullRange} ${bits}`;
  let tables = cache.get(key);
  if (!tables) {
    const factors = FACTORS[matrix];
    if (!factors) {
      throw new MediaError({
        where: label,
        expected: `a colour matrix of ${Object.keys(FACTORS).join(", ")}`,
        got: matrix,
        remedy: "re-encode the clip: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4",
      });
    }
    tables = makeTables(factors, fullRange, bits);
    cache.set(key, tables);
  }
  return tables;
}

/** `k(c)` of the formula at the top of this file. */
function fixed(c: number): number {
  return Math.floor((c * 8192 + 32768) / 65536);
}

function makeTables(factors: readonly [number, number, number, number], fullRange: boolean, bits: number): Tables {
  const levels = 2 ** bits;
  const [crv, cbu, cgu, cgv] = fullRange ? factors.map((c) => Math.floor((c * 224) / 255)) : factors;
  const cy = fullRange ? 65536 : Math.floor((65536 * 255) / 219);
  // Samples of more bits are scaled to 8 bits with a fraction; the products stay exact.
  const unit = 8 / 2 ** (bits - 8);
  const table = (zero: number, factor: number): Int16Array =>
    Int16Array.from({ length: levels }, (_, sample) => Math.floor(((sample - zero) * unit * factor) / 65536));
  const middle = levels / 2;
  return {
    luma: table(fullRange ? 0 : levels / 16, fixed(cy)),
    redOfV: table(middle, fixed(crv!)),
    greenOfU: table(middle, fixed(-cgu!)),
    greenOfV: table(middle, fixed(-cgv!)),
    blueOfU: table(middle, fixed(cbu!)),
  };
}

/** Plane layout of a YUV format. */
interface Layout {
  bits: number;
  /** log₂ of the chroma subsampling along x and y. */
  shiftX: 0 | 1;
  shiftY: 0 | 1;
  /** Whether U and V share a plane; "vu" for V first. */
  interleaved: false | "uv" | "vu";
}

function layoutOf(format: string): Layout | undefined {
  if (format === "NV12" || format === "NV21") {
    return { bits: 8, shiftX: 1, shiftY: 1, interleaved: format === "NV12" ? "uv" : "vu" };
  }
  // An alpha plane is the last one and is ignored.
  const match = /^I4(20|22|44)A?(?:P(10|12))?$/.exec(format);
  if (!match) return undefined;
  const shiftX = match[1] === "44" ? 0 : 1;
  return { bits: Number(match[2] ?? 8), shiftX, shiftY: match[1] === "20" ? 1 : 0, interleaved: false };
}

/**
 * Converts planes to RGB8 `[height, width, 3]`. Formats: I420, I422, I444 (8, 10 and 12 bits, with or without alpha), NV12, NV21, and
 * RGB(A) and BGR(A), whose channels are only reordered.
 * @throws MediaError for other formats and for unsupported matrices.
 */
export function planesToRgb(frame: FramePlanes, colour: FrameColour, label: string): Pixels {
  const { format, width, height } = frame;
  const layout = layoutOf(format);
  if (!layout) return { width, height, data: reorder(frame, label) };
  const tables = tablesFor(colour.matrix ?? "smpte170m", colour.fullRange ?? false, layout.bits, label);
  const data = new Uint8ClampedArray(width * height * 3);
  const [y, u, v] = samplePlanes(frame, layout);
  for (let row = 0; row < height; row++) {
    const chromaRow = Math.min(row >> layout.shiftY, u.rows - 1);
    const at = { y: y.start + row * y.stride, u: u.start + chromaRow * u.stride, v: v.start + chromaRow * v.stride };
    if (layout.shiftX === 1) rowOfPairs(y, u, at, tables, data, row * width * 3, width);
    else rowOfSingles(y, u, v, at, tables, data, row * width * 3, width);
  }
  return { width, height, data: new Uint8Array(data.buffer) };
}

/** A plane in units of samples: `start` and `stride` count samples, not bytes; `step` is 2 for interleaved planes. */
interface SamplePlane {
  samples: Uint8Array | Uint16Array;
  start: number;
  stride: number;
  step: number;
  columns: number;
  rows: number;
}

type Rows = { y: number; u: number; v: number };

function samplePlanes(frame: FramePlanes, layout: Layout): [SamplePlane, SamplePlane, SamplePlane] {
  const { width, height, data, planes } = frame;
  const bytes = layout.bits > 8 ? 2 : 1;
  const samples = bytes === 2 ? new Uint16Array(data.buffer, data.byteOffset, data.length >> 1) : data;
  const plane = (index: number, chroma: boolean, first: number): SamplePlane => {
    const { offset, stride } = planes[index]!;
    const step = chroma && layout.interleaved ? 2 : 1;
    const end = planes[index + 1]?.offset ?? data.length;
    // For odd sizes some decoders omit the last chroma column and row; the one before is repeated.
    const columns = chroma ? (width + layout.shiftX) >> layout.shiftX : width;
    const rows = chroma ? (height + layout.shiftY) >> layout.shiftY : height;
    return {
      samples,
      start: offset / bytes + first,
      stride: stride / bytes,
      step,
      columns: Math.min(columns, Math.floor(stride / bytes / step)),
      rows: Math.min(rows, Math.floor((end - offset) / stride)),
    };
  };
  const both = layout.interleaved;
  const uFirst = both === "vu" ? 1 : 0;
  return [plane(0, false, 0), plane(1, true, uFirst), plane(both ? 1 : 2, true, both ? 1 - uFirst : 0)];
}

/** Converts a row of 4:2:0 or 4:2:2, where two pixels share a chroma sample. U and V are in one array and have the same layout. */
function rowOfPairs(
  y: SamplePlane,
  chroma: SamplePlane,
  at: Rows,
  { luma, redOfV, greenOfU, greenOfV, blueOfU }: Tables,
  data: Uint8ClampedArray,
  start: number,
  width: number,
): void {
  const { samples, step, columns } = chroma;
  const lumas = y.samples;
  let write = start;
  for (let x = 0; x < width; x += 2) {
    const column = Math.min(x >> 1, columns - 1) * step;
    const us = samples[at.u + column]!;
    const vs = samples[at.v + column]!;
    const red = redOfV[vs]!;
    const green = greenOfU[us]! + greenOfV[vs]!;
    const blue = blueOfU[us]!;
    const left = luma[lumas[at.y + x]!]!;
    data[write] = left + red;
    data[write + 1] = left + green;
    data[write + 2] = left + blue;
    if (x + 1 < width) {
      const right = luma[lumas[at.y + x + 1]!]!;
      data[write + 3] = right + red;
      data[write + 4] = right + green;
      data[write + 5] = right + blue;
    }
    write += 6;
  }
}

/** Converts a row of 4:4:4. */
function rowOfSingles(
  y: SamplePlane,
  u: SamplePlane,
  v: SamplePlane,
  at: Rows,
  { luma, redOfV, greenOfU, greenOfV, blueOfU }: Tables,
  data: Uint8ClampedArray,
  start: number,
  width: number,
): void {
  let write = start;
  for (let x = 0; x < width; x++, write += 3) {
    const us = u.samples[at.u + x]!;
    const vs = v.samples[at.v + x]!;
    const level = luma[y.samples[at.y + x]!]!;
    data[write] = level + redOfV[vs]!;
    data[write + 1] = level + greenOfU[us]! + greenOfV[vs]!;
    data[write + 2] = level + blueOfU[us]!;
  }
}

/** Converts RGBA, RGBX, BGRA or BGRX to RGB8. */
function reorder({ format, width, height, data, planes }: FramePlanes, label: string): Uint8Array {
  const red = { RGBA: 0, RGBX: 0, BGRA: 2, BGRX: 2 }[format];
  if (red === undefined) {
    throw new MediaError({
      where: label,
      expected: "a frame of I420, I422, I444, NV12 or RGBA pixels",
      got: `pixel format ${format}`,
      remedy: "re-encode the clip: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4",
    });
  }
  const rgb = new Uint8Array(width * height * 3);
  const { offset, stride } = planes[0]!;
  let write = 0;
  for (let row = 0; row < height; row++) {
    let read = offset + row * stride;
    for (let x = 0; x < width; x++, read += 4, write += 3) {
      rgb[write] = data[read + red]!;
      rgb[write + 1] = data[read + 1]!;
      rgb[write + 2] = data[read + 2 - red]!;
    }
  }
  return rgb;
}
