/** Matroska files for tests, element by element, with no encoder. */
import { concat } from "./mp4.js";

type Part = Uint8Array | readonly number[];

/** Bytes of a whole number, big-endian, without leading zeros. */
const bytesOf = (value: number): number[] =>
  value < 256 ? [value] : [...bytesOf(Math.floor(value / 256)), value % 256];

export function element(id: number, ...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const body = concat(...parts);
  const size = bytesOf(body.length);
  return concat(bytesOf(id), [1, ...new Array<number>(7 - size.length).fill(0), ...size], body);
}

/** An element that does not say where it ends, as live recordings have them. */
export const endless = (id: number, ...parts: readonly Part[]): Uint8Array<ArrayBuffer> =>
  concat(bytesOf(id), [1, 255, 255, 255, 255, 255, 255, 255], ...parts);

export const uint = (id: number, value: number): Uint8Array<ArrayBuffer> => element(id, bytesOf(value));
export const text = (id: number, value: string): Uint8Array<ArrayBuffer> =>
  element(id, new TextEncoder().encode(value));

export function float(id: number, value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return element(id, bytes);
}

export const SEGMENT = 0x18538067;
export const CLUSTER = 0x1f43b675;

export const head = (docType = "webm"): Uint8Array<ArrayBuffer> => element(0x1a45dfa3, text(0x4282, docType));
export const info = (nanoseconds: number): Uint8Array<ArrayBuffer> => element(0x1549a966, uint(0x2ad7b1, nanoseconds));

export interface MadeTrack {
  number?: number;
  type?: number;
  enabled?: boolean;
  codec?: string;
  width?: number;
  height?: number;
  /** Further elements of the entry, and of its `Video`. */
  more?: readonly Part[];
  video?: readonly Part[];
}

export function tracks(...list: readonly MadeTrack[]): Uint8Array<ArrayBuffer> {
  const entries = list.map((track, i) => {
    const { number = i + 1, type = 1, enabled = true, codec = "V_VP8", width = 96, height = 64 } = track;
    return element(
      0xae,
      uint(0xd7, number),
      // After what depends on it: the order of elements is free.
      element(0xe0, uint(0xb0, width), uint(0xba, height), ...(track.video ?? [])),
      uint(0x83, type),
      enabled ? [] : uint(0xb9, 0),
      text(0x86, codec),
      ...(track.more ?? []),
    );
  });
  return element(0x1654ae6b, ...entries);
}

export interface MadeBlock {
  track?: number;
  ticks?: number;
  key?: boolean;
  lacing?: number;
}

/** A SimpleBlock; a time is counted from that of its cluster. */
export function block(
  data: Part,
  { track = 1, ticks = 0, key = true, lacing = 0 }: MadeBlock = {},
): Uint8Array<ArrayBuffer> {
  return element(0xa3, [0x80 | track, (ticks >> 8) & 255, ticks & 255, (key ? 0x80 : 0) | lacing], data);
}

export const cluster = (ticks: number, ...blocks: readonly Part[]): Uint8Array<ArrayBuffer> =>
  element(CLUSTER, uint(0xe7, ticks), ...blocks);
