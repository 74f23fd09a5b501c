/** GIFs of one row for tests, in four colours. */
export const RED = [255, 0, 0];
export const GREEN = [0, 255, 0];
export const BLUE = [0, 0, 255];
export const WHITE = [255, 255, 255];

export interface FrameOptions {
  left?: number;
  transparent?: number;
  disposal?: number;
  delay?: number;
}

/** One row of indices from 0 to 3, with a clear code before every other so that all codes have 3 bits. */
export function frame(
  indices: number[],
  { left = 0, transparent, disposal = 0, delay = 0 }: FrameOptions = {},
): number[] {
  const codes = indices.flatMap((index, i) => (i % 2 === 0 ? [4, index] : [index])).concat(5);
  const bits = codes.map((code) => code.toString(2).padStart(3, "0").split("").reverse().join("")).join("");
  const data = bits.match(/.{1,8}/g)!.map((byte) => Number.parseInt(byte.split("").reverse().join(""), 2));
  const flags = (disposal << 2) | (transparent === undefined ? 0 : 1);
  const control = [0x21, 0xf9, 4, flags, delay, 0, transparent ?? 0, 0];
  return [...control, 0x2c, left, 0, 0, 0, indices.length, 0, 1, 0, 0, 2, data.length, ...data, 0];
}

/** A screen of one row; index 3 is white. */
export function gif(width: number, background: number, ...frames: number[][]): Uint8Array {
  const start = [..."GIF89a"].map((letter) => letter.charCodeAt(0));
  const table = [RED, GREEN, BLUE, WHITE].flat();
  return Uint8Array.from([...start, width, 0, 1, 0, 0x81, background, 0, ...table, ...frames.flat(), 0x3b]);
}
