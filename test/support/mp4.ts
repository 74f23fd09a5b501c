/** MP4 files for tests, box by box: any sample table, edit list or fragment, with no encoder. */
import type { ByteSource } from "../../src/io/bytes/source.js";

type Part = Uint8Array | readonly number[];

export const u16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
export const u32 = (value: number): number[] => [
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
export const u64 = (value: number): number[] => [...u32(Math.floor(value / 2 ** 32)), ...u32(value % 2 ** 32)];
export const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

export function concat(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function box(type: string, ...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const body = concat(...parts);
  return concat(u32(8 + body.length), ascii(type), body);
}

/** A box with a version and flags. */
export const fullBox = (
  type: string,
  version: number,
  flags: number,
  ...parts: readonly Part[]
): Uint8Array<ArrayBuffer> => box(type, u32(version * 2 ** 24 + flags), ...parts);

export interface MuxedSample {
  offsetBytes: number;
  sizeBytes: number;
  durationTicks: number;
  /** Composition time minus decode time, signed. */
  compositionOffset?: number;
  isKeyframe?: boolean;
}

export interface MuxedTrack {
  /** The sample entry, whole. */
  entry: Uint8Array;
  /** Ticks a second. */
  timescale: number;
  samples: readonly MuxedSample[];
  /** [duration in milliseconds, media time in ticks, rate]; a media time of -1 shows nothing. */
  edits?: readonly (readonly [number, number, number?])[];
  /** a, b, c, d of the display matrix. */
  turn?: readonly [number, number, number, number];
  handler?: string;
  /** Whether players show it; true if not given. */
  enabled?: boolean;
  /** Goes after the tables of `trak`, before its end. */
  extra?: Uint8Array;
}

/** The sample entry of H.264. */
export function avc1(width: number, height: number, avcC: Uint8Array, ...extra: readonly Uint8Array[]): Uint8Array {
  return visualEntry("avc1", width, height, box("avcC", avcC), ...extra);
}

export function visualEntry(type: string, width: number, height: number, ...boxes: readonly Uint8Array[]): Uint8Array {
  const head = [
    ...zeros(6),
    ...u16(1),
    ...zeros(16),
    ...u16(width),
    ...u16(height),
    ...u32(0x480000),
    ...u32(0x480000),
  ];
  return box(type, head, zeros(4), u16(1), zeros(32), u16(24), u16(0xffff), ...boxes);
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0);
const MOVIE_TIMESCALE = 1000;

export function moov(tracks: readonly MuxedTrack[], mvex?: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = [...zeros(8), ...u32(MOVIE_TIMESCALE), ...u32(0), ...u32(0x10000), ...u16(0x100), ...zeros(10)];
  const traks = tracks.map((track, i) => trak(track, i + 1));
  return box("moov", fullBox("mvhd", 0, 0, header, matrix(), zeros(24), u32(tracks.length + 1)), ...traks, mvex ?? []);
}

function matrix([a, b, c, d]: readonly [number, number, number, number] = [1, 0, 0, 1]): number[] {
  const fixed = (value: number): number[] => u32((value * 0x10000) >>> 0);
  return [
    ...fixed(a),
    ...fixed(b),
    ...u32(0),
    ...fixed(c),
    ...fixed(d),
    ...u32(0),
    ...u32(0),
    ...u32(0),
    ...u32(0x40000000),
  ];
}

function trak(track: MuxedTrack, id: number): Uint8Array {
  const { samples, timescale, edits, handler = "vide" } = track;
  const duration = samples.reduce((sum, sample) => sum + sample.durationTicks, 0);
  const list = (edits ?? []).flatMap(([milliseconds, mediaTime, rate = 1]) => [
    ...u32(milliseconds),
    ...u32(mediaTime >>> 0),
    ...u16(rate),
    ...u16(0),
  ]);
  const rows = (type: string, version: number, values: readonly number[][]): Uint8Array =>
    fullBox(type, version, 0, u32(values.length), values.flat());
  const keys = samples.flatMap((sample, i) => (sample.isKeyframe === false ? [] : [u32(i + 1)]));
  const stbl = box(
    "stbl",
    fullBox("stsd", 0, 0, u32(1), track.entry),
    rows(
      "stts",
      0,
      samples.map((sample) => [...u32(1), ...u32(sample.durationTicks)]),
    ),
    rows(
      "ctts",
      1,
      samples.map((sample) => [...u32(1), ...u32((sample.compositionOffset ?? 0) >>> 0)]),
    ),
    keys.length === samples.length ? [] : rows("stss", 0, keys),
    rows("stsc", 0, samples.length ? [[...u32(1), ...u32(1), ...u32(1)]] : []),
    fullBox(
      "stsz",
      0,
      0,
      u32(0),
      u32(samples.length),
      samples.flatMap((sample) => u32(sample.sizeBytes)),
    ),
    rows(
      "co64",
      0,
      samples.map((sample) => u64(sample.offsetBytes)),
    ),
  );
  const mdia = box(
    "mdia",
    fullBox("mdhd", 0, 0, zeros(8), u32(timescale), u32(duration), zeros(4)),
    fullBox("hdlr", 0, 0, zeros(4), ascii(handler), zeros(13)),
    box("minf", fullBox("vmhd", 0, 1, zeros(8)), stbl),
  );
  return box(
    "trak",
    fullBox(
      "tkhd",
      0,
      track.enabled === false ? 2 : 3,
      zeros(8),
      u32(id),
      zeros(4),
      u32(0),
      zeros(16),
      matrix(track.turn),
      zeros(8),
    ),
    edits ? box("edts", fullBox("elst", 0, 0, u32(edits.length), list)) : [],
    mdia,
    track.extra ?? [],
  );
}

/** A source that counts what is read from it. */
export interface CountingSource extends ByteSource {
  readonly reads: { offsetBytes: number; lengthBytes: number }[];
  readonly bytesRead: number;
}

/** A file whose bytes `read` makes up as they are asked for. */
export function madeUpSource(
  name: string,
  sizeBytes: number,
  read: (offset: number, length: number) => Uint8Array,
): CountingSource {
  const reads: CountingSource["reads"] = [];
  return {
    name,
    sizeBytes,
    reads,
    get bytesRead() {
      return reads.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    },
    async read(offsetBytes, lengthBytes) {
      if (offsetBytes < 0 || offsetBytes + lengthBytes > sizeBytes)
        throw new RangeError(`${offsetBytes}+${lengthBytes}`);
      reads.push({ offsetBytes, lengthBytes });
      return read(offsetBytes, lengthBytes);
    },
    close: async () => undefined,
  };
}

export const countingSource = (bytes: Uint8Array, name: string): CountingSource =>
  madeUpSource(name, bytes.length, (offset, length) => bytes.slice(offset, offset + length));
