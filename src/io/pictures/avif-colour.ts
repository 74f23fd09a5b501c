/**
 * Converts the samples of an AVIF to RGB8 with the arithmetic of the reference: Pillow, that is libavif with libyuv. Subsampled chroma
 * is upsampled bilinearly: the four nearest samples have the weights 9/16, 3/16, 3/16 and 1/16; at edges the nearest ones are repeated.
 *
 * Common matrices are computed in fixed point with 6 fractional bits. With 128 subtracted from u and v:
 *
 *     Y = (y16·yg >> 16) + yb, where y16 is y with its bits repeated to 16
 *     R = (Y + v·vr) >> 6, G = (Y − u·ug − v·vg) >> 6, B = (Y + u·ub) >> 6
 *
 * Others are computed in float32, with y from 0 to 1, u and v from −0.5 to 0.5:
 *
 *     R = y + 2(1−kr)v, G = y − 2(kr(1−kr)v + kb(1−kb)u)/kg, B = y + 2(1−kb)u
 *
 * Sources: ITU-T H.273, section 8.3; libavif 1.4, `avifImageYUVToRGB`; libyuv, `YuvConstants` and `ScaleRowUp2_Bilinear`.
 */
import { MediaError } from "../../base/errors.js";

/** Sample planes. The luma plane is `width`×`height`; subsampled chroma sizes are rounded up. Monochrome pictures have no chroma. */
export interface AvifPlanes {
  width: number;
  height: number;
  bits: number;
  y: Uint8Array | Uint16Array;
  u: Uint8Array | Uint16Array | undefined;
  v: Uint8Array | Uint16Array | undefined;
  halfX: boolean;
  halfY: boolean;
}

/** Matrix coefficients and colour primaries, code points of ITU-T H.273. */
export interface AvifColour {
  matrix: number;
  primaries: number;
  fullRange: boolean;
}

const IDENTITY = 0;
const YCGCO = 8;
const FROM_PRIMARIES = 12;
const UNSPECIFIED = 2;
const round = Math.fround;

/** Fixed-point factors of a matrix. */
type Factors = readonly [yg: number, yb: number, ub: number, ug: number, vg: number, vr: number];

const FULL: Record<string, Factors> = {
  "601": [16320, 32, 113, 22, 46, 90],
  "709": [16320, 32, 119, 12, 30, 101],
  "2020": [16320, 32, 120, 11, 37, 94],
};
/** libyuv limits ub to 128, although the exact values are larger. */
const LIMITED: Record<string, Factors> = {
  "601": [18997, -1160, 128, 25, 52, 102],
  "709": [18997, -1160, 128, 14, 34, 115],
  "2020": [19003, -1160, 128, 12, 42, 107],
};

/** Matrices that are computed in fixed point, by matrix code point; for matrix 12 by the code point of the primaries. */
const BY_MATRIX: Record<number, string> = { 1: "709", 2: "601", 5: "601", 6: "601", 9: "2020" };
const BY_PRIMARIES: Record<number, string> = { 1: "709", 2: "709", 5: "601", 6: "601", 9: "2020" };

/** Luma weights kr and kb by matrix code point. */
const LUMA_WEIGHTS: Record<number, readonly [number, number]> = {
  1: [0.2126, 0.0722],
  4: [0.3, 0.11],
  5: [0.299, 0.114],
  6: [0.299, 0.114],
  7: [0.212, 0.087],
  9: [0.2627, 0.0593],
};

/** CIE xy coordinates of red, green, blue and white, by code point of the primaries. */
const BT709 = [0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329] as const;
const PRIMARIES: Record<number, readonly number[]> = {
  4: [0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.31, 0.316],
  5: [0.64, 0.33, 0.29, 0.6, 0.15, 0.06, 0.3127, 0.329],
  6: [0.63, 0.34, 0.31, 0.595, 0.155, 0.07, 0.3127, 0.329],
  7: [0.63, 0.34, 0.31, 0.595, 0.155, 0.07, 0.3127, 0.329],
  8: [0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.31, 0.316],
  9: [0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329],
  11: [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351],
  12: [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329],
  22: [0.63, 0.34, 0.295, 0.605, 0.155, 0.077, 0.3127, 0.329],
};

/** Derives kr and kb from the primaries. Source: H.273, equations 32 to 37. */
function derivedWeights(primaries: number): readonly [number, number] {
  const [rx, ry, gx, gy, bx, by, wx, wy] = (PRIMARIES[primaries] ?? BT709) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [rz, gz, bz, wz] = [1 - rx - ry, 1 - gx - gy, 1 - bx - by, 1 - wx - wy];
  const whole = wy * (rx * (gy * bz - by * gz) + gx * (by * rz - ry * bz) + bx * (ry * gz - gy * rz));
  return [
    (ry * (wx * (gy * bz - by * gz) + wy * (bx * gz - gx * bz) + wz * (gx * by - bx * gy))) / whole,
    (by * (wx * (ry * gz - gy * rz) + wy * (gx * rz - rx * gz) + wz * (rx * gy - gx * ry))) / whole,
  ];
}

/** Writes one row of chroma at full resolution. */
type ChromaRow = (row: number, into: Uint16Array) => void;

/** Bilinear chroma upsampling in integers, rounded half up. */
function blendedRows(plane: Uint8Array | Uint16Array, of: AvifPlanes): ChromaRow {
  const { width, height, halfX, halfY } = of;
  const stride = halfX ? (width + 1) >> 1 : width;
  if (!halfX) return (row, into) => into.set(plane.subarray(row * stride, row * stride + width));
  return (row, into) => {
    const near = (halfY ? row >> 1 : row) * stride;
    const far = near + (halfY ? besideRow(row, height) * stride : 0);
    for (let x = 0; x < width; x++) {
      const column = x >> 1;
      const other = x === 0 || x === width - 1 ? column : x & 1 ? column + 1 : column - 1;
      const a = plane[near + column]!;
      const b = plane[near + other]!;
      into[x] = (9 * a + 3 * b + 3 * plane[far + column]! + plane[far + other]! + 8) >> 4;
    }
  };
}

/** Offset of the second nearest chroma row: −1 or 1; 0 at the upper and lower edge. */
function besideRow(row: number, height: number): -1 | 0 | 1 {
  if (row === 0 || (row === height - 1 && row % 2 === 1)) return 0;
  return row % 2 === 1 ? 1 : -1;
}

/** Lookup table from samples to values: `(sample − bias) / range`. */
function values(bits: number, bias: number, range: number): Float32Array {
  return Float32Array.from({ length: 2 ** bits }, (_, sample) => round((sample - bias) / range));
}

/** Bilinear chroma upsampling in float32. `table` maps samples to values. */
function blendedValues(
  plane: Uint8Array | Uint16Array,
  of: AvifPlanes,
  table: Float32Array,
  row: number,
  into: Float32Array,
): void {
  const { width, height, halfX, halfY } = of;
  const stride = halfX ? (width + 1) >> 1 : width;
  const near = (halfY ? row >> 1 : row) * stride;
  const far = near + (halfY ? besideRow(row, height) * stride : 0);
  for (let x = 0; x < width; x++) {
    if (!halfX) {
      into[x] = table[plane[near + x]!]!;
      continue;
    }
    const column = x >> 1;
    const other = x === 0 || (x === width - 1 && x % 2 === 1) ? column : x % 2 === 1 ? column + 1 : column - 1;
    const a = round(table[plane[near + column]!]! * 0.5625);
    const b = round(table[plane[near + other]!]! * 0.1875);
    const c = round(table[plane[far + column]!]! * 0.1875);
    const d = round(table[plane[far + other]!]! * 0.0625);
    into[x] = round(round(round(a + b) + c) + d);
  }
}

/**
 * Converts to RGB8 `[height, width, 3]`. `hasAlpha`: whether the picture has an alpha plane, which changes how the reference converts
 * samples of more than 8 bits. `alpha`: the alpha plane, if colours are premultiplied by it.
 * Throws MediaError naming `where` for a matrix that the reference does not support either.
 */
export function avifToRgb(
  planes: AvifPlanes,
  colour: AvifColour,
  where: string,
  hasAlpha = false,
  alpha?: AvifPlanes,
): Uint8Array {
  const { matrix, primaries, fullRange } = colour;
  const { u } = planes;
  const gray = !u && matrix === IDENTITY ? "601" : undefined;
  const name = gray ?? (matrix === FROM_PRIMARIES ? BY_PRIMARIES[primaries] : BY_MATRIX[matrix]);
  const factors = name && (fullRange ? FULL : LIMITED)[name];
  if (factors && (u || hasAlpha)) {
    const rgb = fixedToRgb(planes, factors, hasAlpha);
    if (alpha) divideByAlpha(rgb, alpha);
    return rgb;
  }
  const known = matrix in LUMA_WEIGHTS || [IDENTITY, UNSPECIFIED, YCGCO, FROM_PRIMARIES].includes(matrix);
  if (!known || (u && matrix === IDENTITY && planes.halfX) || (matrix === YCGCO && !fullRange)) {
    throw new MediaError({
      where,
      expected: "a colour matrix with a fixed conversion (H.273: 0 to 2, 4 to 9 and 12)",
      got: `matrix ${matrix}${fullRange ? "" : ", limited range"}${planes.halfX ? ", subsampled" : ""}`,
      remedy: "convert the picture to PNG",
    });
  }
  const rgb = floatToRgb(planes, colour);
  if (alpha) divideByAlpha(rgb, alpha);
  return rgb;
}

function fixedToRgb(planes: AvifPlanes, factors: Factors, hasAlpha: boolean): Uint8Array {
  const [yg, yb, ub, ug, vg, vr] = factors;
  // With alpha, libyuv converts 10 bits, and 12 bits of 4:2:0 without interpolation; all others are first truncated to 8 bits.
  const deep = hasAlpha && planes.u && (planes.bits === 10 || (planes.bits === 12 && planes.halfY));
  const used = deep ? planes : inEightBits(planes);
  const { width, height, bits, y: luma, u, v } = used;
  const repeats = bits === 12;
  const lumaTable = Int32Array.from({ length: 2 ** bits }, (_, level) => {
    const wide = (level << (16 - bits)) | (level >> (2 * bits - 16));
    return Math.floor((wide * yg) / 65536) + yb;
  });
  const us = new Uint16Array(width).fill(128);
  const vs = new Uint16Array(width).fill(128);
  const rows = (plane: Uint8Array | Uint16Array | undefined) =>
    plane && (repeats ? repeatedRows(plane, used) : blendedRows(plane, used));
  const uRow = rows(u);
  const vRow = rows(v);
  const shift = u ? bits - 8 : 0;
  const rgb = new Uint8ClampedArray(width * height * 3);
  for (let row = 0, write = 0, at = 0; row < height; row++) {
    uRow?.(row, us);
    vRow?.(row, vs);
    for (let x = 0; x < width; x++, at++, write += 3) {
      const level = lumaTable[luma[at]!]!;
      const cb = (us[x]! >> shift) - 128;
      const cr = (vs[x]! >> shift) - 128;
      rgb[write] = (level + cr * vr) >> 6;
      rgb[write + 1] = (level - (cb * ug + cr * vg)) >> 6;
      rgb[write + 2] = (level + cb * ub) >> 6;
    }
  }
  return new Uint8Array(rgb.buffer);
}

function repeatedRows(plane: Uint8Array | Uint16Array, { width, halfX, halfY }: AvifPlanes): ChromaRow {
  const stride = halfX ? (width + 1) >> 1 : width;
  return (row, into) => {
    const start = (halfY ? row >> 1 : row) * stride;
    for (let x = 0; x < width; x++) into[x] = plane[start + (halfX ? x >> 1 : x)]!;
  };
}

function inEightBits(planes: AvifPlanes): AvifPlanes {
  const shift = planes.bits - 8;
  if (shift === 0) return planes;
  const cut = (plane: Uint8Array | Uint16Array) => Uint8Array.from(plane, (sample) => sample >> shift);
  const { y, u, v } = planes;
  return { ...planes, bits: 8, y: cut(y), u: u && cut(u), v: v && cut(v) };
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

function floatToRgb(planes: AvifPlanes, { matrix, primaries, fullRange }: AvifColour): Uint8Array {
  const { width, height, bits, y: luma, u, v } = planes;
  const extra = bits - 8;
  const top = 2 ** bits - 1;
  const lumaValues = fullRange ? values(bits, 0, top) : values(bits, 16 << extra, 219 << extra);
  const identity = matrix === IDENTITY;
  const chromaValues = identity ? lumaValues : values(bits, 1 << (bits - 1), fullRange ? top : 224 << extra);
  const weights = matrix === FROM_PRIMARIES ? derivedWeights(primaries) : (LUMA_WEIGHTS[matrix] ?? [0.299, 0.114]);
  const [kr, kb] = weights.map(round) as [number, number];
  const kg = round(round(1 - kr) - kb);
  const redOfV = round(2 * round(1 - kr));
  const blueOfU = round(2 * round(1 - kb));
  const greenOfV = round(kr * round(1 - kr));
  const greenOfU = round(kb * round(1 - kb));
  const us = new Float32Array(width);
  const vs = new Float32Array(width);
  const rgb = new Uint8Array(width * height * 3);
  for (let row = 0, write = 0, at = 0; row < height; row++) {
    if (u && v) {
      blendedValues(u, planes, chromaValues, row, us);
      blendedValues(v, planes, chromaValues, row, vs);
    }
    for (let x = 0; x < width; x++, at++, write += 3) {
      const level = lumaValues[luma[at]!]!;
      const cb = us[x]!;
      const cr = vs[x]!;
      let [red, green, blue] = [level, level, level];
      if (u && identity) {
        blue = cb;
        red = cr;
      } else if (u && matrix === YCGCO) {
        const rest = round(level - cb);
        green = round(level + cb);
        blue = round(rest - cr);
        red = round(rest + cr);
      } else if (u) {
        red = round(level + round(redOfV * cr));
        blue = round(level + round(blueOfU * cb));
        green = round(level - round(round(2 * round(round(greenOfV * cr) + round(greenOfU * cb))) / kg));
      }
      rgb[write] = round(0.5 + round(clamp(red) * 255));
      rgb[write + 1] = round(0.5 + round(clamp(green) * 255));
      rgb[write + 2] = round(0.5 + round(clamp(blue) * 255));
    }
  }
  return rgb;
}

/** Unpremultiplies RGB by alpha, in 8 bits. */
function divideByAlpha(rgb: Uint8Array, alpha: AvifPlanes): void {
  const shift = alpha.bits - 8;
  for (let at = 0, write = 0; write < rgb.length; at++, write += 3) {
    const level = alpha.y[at]! >> shift;
    const factor = level === 0 ? 0 : level === 1 ? 65535 : Math.floor(65536 / level);
    for (let c = 0; c < 3; c++) rgb[write + c] = Math.min(255, Math.floor((rgb[write + c]! * 257 * factor) / 65536));
  }
}
