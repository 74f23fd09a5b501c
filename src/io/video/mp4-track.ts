/**
 * Reads the header boxes and the sample entry of a video track. They are parsed by mp4box, from a `moov` that is composed of copies of
 * this track's boxes, after their sizes are checked. Other boxes of the file are not passed to it: its parsers of some two hundred box
 * types trust the counts in the boxes.
 */
import { createFile, type ISOFile, type MP4BoxBuffer } from "mp4box";
import { MediaError } from "../../base/errors.js";
import { asciiAt, dataView } from "../bytes/bytes.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import { MAX_PIXELS } from "../pictures/image.js";
import type { ClipColour, ClipIndex } from "./clip-index.js";
import type { Edit } from "./edit-list.js";
import type { Box, BoxReader } from "./mp4-boxes.js";

/** The boxes of a track that are parsed. */
export interface TrackBoxes {
  mvhd: Box;
  tkhd: Box;
  elst: Box | undefined;
  mdhd: Box;
  stbl: Box;
  stsd: Box;
}

/** Parsed header boxes. */
export interface Track extends Pick<ClipIndex, "codec" | "description" | "width" | "height" | "colour"> {
  /** Ticks per second of the track and of the movie. */
  timescales: { track: number; movie: number };
  /** Transformation matrix `[a b u; c d v; x y w]` of `tkhd`. */
  matrix: ArrayLike<number>;
  edits: Edit[];
}

/** Body sizes of the header boxes, for versions 0 and 1. */
const HEADER_BYTES = { mvhd: [100, 112], tkhd: [84, 96], mdhd: [24, 36] } as const;

/** Reads a track and sample description `number` (from 1). */
export function readTrack(reader: BoxReader, boxes: TrackBoxes, number: number): Track {
  for (const type of ["mvhd", "tkhd", "mdhd"] as const) {
    reader.need(boxes[type], HEADER_BYTES[type][reader.version(boxes[type])]);
  }
  const { elst } = boxes;
  if (elst) reader.budget.take(reader.rows(elst, 4, reader.version(elst) === 1 ? 20 : 12), elst);
  const entry = readEntry(reader, boxes.stsd, number);
  const { mvhd, traks } = parse(reader, boxes, entry.alone);
  const { tkhd, edts, mdia } = traks[0]!;
  return {
    ...entry,
    codec: entry.alone ? mdia.minf.stbl.stsd.entries[0]!.getCodec() : entry.codec,
    timescales: { track: mdia.mdhd.timescale, movie: mvhd.timescale },
    matrix: tkhd.matrix,
    edits: (edts?.elst?.entries ?? []).map((edit) => ({
      durationTicks: edit.segment_duration,
      mediaTime: edit.media_time,
      rate: edit.media_rate_integer + edit.media_rate_fraction / 65536,
    })),
  };
}

/** Length of the fixed fields of a video sample entry; child boxes follow. */
const ENTRY_BYTES = 78;
/** Maximum size of a configuration box; parameter sets have about a hundred bytes, and mp4box creates an object for each. */
const MAX_RECORD_BYTES = 2 ** 16;

/** Type of the configuration box by sample entry, for codecs that require one. */
const RECORDS: Readonly<Record<string, string>> = {
  ...{ avc1: "avcC", avc2: "avcC", avc3: "avcC", avc4: "avcC", hvc1: "hvcC", hev1: "hvcC" },
  ...{ vvc1: "vvcC", vvi1: "vvcC", vp08: "vpcC", vp09: "vpcC", av01: "av1C" },
};

const RECORD_BOXES = new Set(Object.values(RECORDS));

/** A parsed sample entry. `alone`: a copy with only the configuration box, from which mp4box derives the codec string. */
interface Entry extends Pick<ClipIndex, "codec" | "description" | "width" | "height" | "colour"> {
  alone: Uint8Array | undefined;
}

function readEntry(reader: BoxReader, stsd: Box, number: number): Entry {
  const entry = entryAt(reader, stsd, number);
  const start = reader.need(entry, ENTRY_BYTES);
  const width = reader.view.getUint16(start + 24);
  const height = reader.view.getUint16(start + 26);
  if (width * height > MAX_PIXELS) {
    throw new MediaError({
      where: `${reader.label}, box "stsd"`,
      expected: `pictures of at most ${MAX_PIXELS} pixels`,
      got: `${width}×${height}`,
      remedy: "make the clip smaller: ffmpeg -i in.mp4 -vf scale=1280:-2 out.mp4",
    });
  }
  const records: Partial<Record<string, Uint8Array<ArrayBuffer>>> = {};
  let colour: ClipColour | undefined;
  for (const box of reader.children(entry, ENTRY_BYTES)) {
    if (box.type === "colr") colour ??= colourOf(reader.bytes.subarray(box.start, Math.min(box.end, box.start + 11)));
    if (records[box.type] || !RECORD_BOXES.has(box.type)) continue;
    const sizeBytes = box.end - box.start;
    if (sizeBytes > MAX_RECORD_BYTES) throw reader.broken(box, `at most ${MAX_RECORD_BYTES} bytes`, String(sizeBytes));
    records[box.type] = copyOf(reader, box);
  }
  const recordType = RECORDS[entry.type];
  const record = records[recordType ?? ""];
  if (recordType && !record) throw reader.broken(entry, `the codec's configuration, a box "${recordType}"`, "none");
  const fixed = reader.bytes.subarray(start, start + ENTRY_BYTES);
  return {
    codec: printableAscii(entry.type),
    alone: record && compose(entry.type, fixed, record),
    description: (records.avcC ?? records.hvcC ?? records.vvcC)?.slice(8),
    width,
    height,
    colour: colour ?? NO_COLOUR,
  };
}

function entryAt(reader: BoxReader, stsd: Box, number: number): Box {
  reader.rows(stsd, 4, 8);
  let place = 0;
  for (const box of reader.children(stsd, 8)) if (++place === number) return box;
  throw reader.broken(stsd, `description ${number} of the video's codec`, `${place} of them`);
}

/** Parses header boxes and the sample entry with mp4box. */
function parse(
  reader: BoxReader,
  { mvhd, tkhd, elst, mdhd }: TrackBoxes,
  entry: Uint8Array = new Uint8Array(),
): ISOFile["moov"] {
  const copy = (box: Box): Uint8Array => copyOf(reader, box);
  const stsd = compose("stsd", [0, 0, 0, 0, 0, 0, 0, entry.length ? 1 : 0], entry);
  const mdia = compose("mdia", copy(mdhd), compose("minf", compose("stbl", stsd)));
  const trak = compose("trak", copy(tkhd), elst ? compose("edts", copy(elst)) : [], mdia);
  const file = createFile();
  // mp4box logs errors to the console by default.
  file.onError = (_module, message) => {
    throw new Error(message);
  };
  file.appendBuffer(Object.assign(compose("moov", copy(mvhd), trak).buffer, { fileStart: 0 }) as MP4BoxBuffer);
  return file.moov;
}

const copyOf = (reader: BoxReader, { type, start, end }: Box): Uint8Array<ArrayBuffer> =>
  compose(type, reader.bytes.subarray(start, end));

/** Writes a box. */
function compose(type: string, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 8));
  dataView(bytes).setUint32(0, bytes.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

// Names of WebCodecs by code point of ISO/IEC 23091-2 (ITU-T H.273).
const PRIMARIES: Record<number, string> = { 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 12: "smpte432" };
const TRANSFERS: Record<number, string> = {
  1: "bt709",
  6: "smpte170m",
  8: "linear",
  13: "iec61966-2-1",
  16: "pq",
  18: "hlg",
};
const MATRICES: Record<number, string> = { 0: "rgb", 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020-ncl" };

const NO_COLOUR: ClipColour = { primaries: null, transfer: null, matrix: null, fullRange: null };

/** Parses a `colr` box; undefined unless it has code points. QuickTime's "nclc" is "nclx" without the range flag. */
function colourOf(body: Uint8Array): ClipColour | undefined {
  if (body.length < 10 || !/^ncl[xc]$/.test(asciiAt(body, 0, 4))) return undefined;
  const view = dataView(body);
  return {
    primaries: PRIMARIES[view.getUint16(4)] ?? null,
    transfer: TRANSFERS[view.getUint16(6)] ?? null,
    matrix: MATRICES[view.getUint16(8)] ?? null,
    fullRange: asciiAt(body, 0, 4) === "nclx" && body.length > 10 ? body[10]! >= 0x80 : null,
  };
}
