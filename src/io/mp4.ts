/**
 * The index of a video file: how to decode its first video track, where its samples lie, and which of them are shown
 * when. Nothing is decoded here. Source: ISO/IEC 14496-12 and 14496-15.
 */
import type { ISOFile, Sample } from "mp4box";
import { MediaError } from "../runtime/errors.js";
import { applyEdits, type Edit, type ShownSample } from "./edit-list.js";
import type { Orientation } from "./exif.js";
import { MAX_PIXELS } from "./image.js";
import { asIndexFault, type Movie, readMovie } from "./mp4-boxes.js";
import { asciiAt, dataView } from "./picture-format.js";
import type { ByteSource } from "./source.js";

/** One encoded picture. Its place in `ClipIndex.samples` is its place in the order of decoding. */
export interface VideoSample {
  offsetBytes: number;
  sizeBytes: number;
  /** Composition time in ticks of the track, before the edit list: it orders pictures inside a group. */
  compositionTicks: number;
  isKeyframe: boolean;
}

/** Colour signalling of the container, as WebCodecs names it; null where it is not given. */
export interface ClipColour {
  primaries: string | null;
  transfer: string | null;
  matrix: string | null;
  fullRange: boolean | null;
}

/** What a file says about its first video track. */
export interface ClipIndex {
  label: string;
  /** WebCodecs codec string, e.g. "avc1.64001f"; the bare name of the sample entry where nothing more is known. */
  codec: string;
  /** Codec configuration record (`avcC`, `hvcC`), for codecs that need one. */
  description: Uint8Array | undefined;
  width: number;
  height: number;
  /** How a player turns the pictures, as an EXIF orientation. */
  orientation: Orientation;
  colour: ClipColour;
  /** Ticks a second of the track. */
  timescale: number;
  /** In the order of decoding. */
  samples: VideoSample[];
  /** In the order of time, edit list applied. */
  frames: ShownSample[];
}

type Trak = ISOFile["moov"]["traks"][number];
type Moof = ISOFile["moofs"][number];

/**
 * Reads the index of an MP4 or QuickTime file, fragmented or not; of the media it reads nothing.
 * @throws MediaError without a video track or picture, or for a broken file; SourceError; AbortedError.
 */
export async function readClipIndex(source: ByteSource, label: string, signal?: AbortSignal): Promise<ClipIndex> {
  const movie = await readMovie(source, label, signal);
  try {
    return indexOf(movie, label);
  } catch (cause) {
    throw asIndexFault(cause, label);
  }
}

function indexOf(movie: Movie, label: string): ClipIndex {
  const { moov } = movie.file;
  const traks = moov.traks ?? [];
  const trak = traks.find((candidate) => candidate.mdia?.hdlr?.handler === "vide");
  if (!trak) {
    const kinds = traks.map((candidate) => candidate.mdia?.hdlr?.handler ?? "unknown").join(", ");
    throw new MediaError({
      where: label,
      expected: "a video track",
      got: kinds ? `tracks of other kinds (${kinds})` : "no track at all",
      remedy: "give a file with pictures",
    });
  }
  const timescale = trak.mdia.mdhd.timescale;
  const samples = samplesOf(movie.file, trak, label);
  const frames = applyEdits(decodableTimes(samples), editsOf(trak), { track: timescale, movie: moov.mvhd.timescale });
  if (!(timescale > 0) || frames.length === 0) {
    throw new MediaError({
      where: label,
      expected: "a video track that shows at least one picture",
      got: `${samples.length} samples at ${timescale} ticks a second, none of them shown`,
      remedy: "get an undamaged copy",
    });
  }
  const entry = entryOf(movie, trak, label);
  return { label, ...entry, orientation: orientationOf(trak.tkhd.matrix), timescale, samples, frames };
}

/** Where the samples are. mp4box gives the table; the fragments are gone through again. */
function samplesOf(file: ISOFile, trak: Trak, label: string): VideoSample[] {
  const table = file.getTrackSamplesInfo(trak.tkhd.track_id) ?? [];
  const wrong = table.find((sample) => sample.description_index !== table[0]!.description_index);
  if (wrong) {
    throw new MediaError({
      where: `${label}, sample ${wrong.number}`,
      expected: "one sample description for the whole track",
      got: "a second one",
      remedy: "encode the clip anew: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4",
    });
  }
  followFragments(file, trak, table);
  const anyKey = table.some((sample) => sample.is_sync);
  return table.map((sample, i) => {
    if (!Number.isSafeInteger(sample.offset) || !Number.isSafeInteger(sample.cts)) {
      throw new Error(`no place or no time for sample ${i} of ${table.length}`);
    }
    return {
      offsetBytes: sample.offset,
      sizeBytes: sample.size,
      compositionTicks: sample.cts,
      // Streams that refresh their pictures in slices have no keyframe; they start at the first sample.
      isKeyframe: anyKey ? sample.is_sync : i === 0,
    };
  });
}

const HAS_BASE_OFFSET = 0x01;
const BASE_IS_MOOF = 0x20000;
const HAS_DATA_OFFSET = 0x01;

/**
 * Sets the place and time of samples in fragments. mp4box takes the data offset of a fragment's first run only, and the
 * decode time of a track's first fragment only; interleaved runs and gaps between fragments need the others too.
 */
function followFragments({ moofs, moov }: ISOFile, trak: Trak, table: Sample[]): void {
  const trexs = moov.mvex?.trexs ?? [];
  let at = table.findIndex((sample) => sample.moof_number !== undefined);
  if (at < 0) return;
  const defaultSize = ({ tfhd }: Moof["trafs"][number]): number =>
    tfhd.default_sample_size || trexs.find((trex) => trex.track_id === tfhd.track_id)?.default_sample_size || 0;
  for (const moof of moofs) {
    let previousEnd = moof.start ?? 0;
    for (const traf of moof.trafs) {
      const flags = traf.tfhd.flags;
      const base =
        flags & HAS_BASE_OFFSET ? traf.tfhd.base_data_offset : flags & BASE_IS_MOOF ? (moof.start ?? 0) : previousEnd;
      const ours = traf.tfhd.track_id === trak.tkhd.track_id;
      let end = base;
      let shift = 0;
      for (const [run, trun] of traf.truns.entries()) {
        let offset: number = trun.flags & HAS_DATA_OFFSET ? base + trun.data_offset : run === 0 ? base : end;
        if (!ours) {
          const sizes = trun.sample_size;
          end =
            offset +
            (sizes.length ? sizes.reduce((sum, size) => sum + size, 0) : trun.sample_count * defaultSize(traf));
          continue;
        }
        for (let i = 0; i < trun.sample_count; i++, at++) {
          const sample = table[at]!;
          if (run === 0 && i === 0 && traf.tfdt) shift = traf.tfdt.baseMediaDecodeTime - sample.dts;
          sample.offset = offset;
          sample.cts += shift;
          offset += sample.size;
        }
        end = offset;
      }
      previousEnd = end;
    }
  }
}

/**
 * The composition times; NaN for pictures that no decoder can make: those before the first keyframe in the order of
 * decoding, and those after it that are shown before it, as they refer to pictures that are not in the file.
 */
function decodableTimes(samples: readonly VideoSample[]): number[] {
  const first = samples.findIndex((sample) => sample.isKeyframe);
  const next = samples.findIndex((sample, i) => i > first && sample.isKeyframe);
  return samples.map((sample, i) => {
    const leading =
      i < (next < 0 ? samples.length : next) && sample.compositionTicks < samples[first]!.compositionTicks;
    return first < 0 || i < first || leading ? Number.NaN : sample.compositionTicks;
  });
}

function editsOf(trak: Trak): Edit[] {
  return (trak.edts?.elst?.entries ?? []).map((entry) => ({
    durationTicks: entry.segment_duration,
    mediaTime: entry.media_time,
    rate: entry.media_rate_integer + entry.media_rate_fraction / 65536,
  }));
}

/** The parts of a sample entry that matter here; mp4box has a class for each kind. */
interface VideoEntry {
  type: string;
  width?: number;
  height?: number;
  start?: number;
  size: number;
  getCodec?(): string;
  avcC?: BoxPlace;
  hvcC?: BoxPlace;
  vvcC?: BoxPlace;
  colr?: BoxPlace;
  colrs?: BoxPlace[];
}

interface BoxPlace {
  start?: number | undefined;
  size: number;
  hdr_size?: number | undefined;
}

function entryOf(
  movie: Movie,
  trak: Trak,
  label: string,
): Pick<ClipIndex, "codec" | "description" | "width" | "height" | "colour"> {
  const { entries } = trak.mdia.minf.stbl.stsd;
  const used = movie.file.getTrackSamplesInfo(trak.tkhd.track_id)?.[0]?.description_index ?? 0;
  const entry = (entries[used] ?? entries[0]) as unknown as VideoEntry | undefined;
  if (!entry) {
    throw new MediaError({
      where: `${label}, box "stsd"`,
      expected: "a description of the video's codec",
      got: "none",
      remedy: "get an undamaged copy",
    });
  }
  const { width = 0, height = 0 } = entry;
  if (width * height > MAX_PIXELS) {
    throw new MediaError({
      where: `${label}, box "stsd"`,
      expected: `pictures of at most ${MAX_PIXELS} pixels`,
      got: `${width}×${height}`,
      remedy: "make the clip smaller: ffmpeg -i in.mp4 -vf scale=1280:-2 out.mp4",
    });
  }
  const record = entry.avcC ?? entry.hvcC ?? entry.vvcC;
  return {
    codec: entry.getCodec?.() ?? entry.type,
    description: record && bodyOf(movie, record),
    width,
    height,
    colour: colourOf([...(entry.colrs ?? []), ...(entry.colr ? [entry.colr] : [])].map((box) => bodyOf(movie, box))),
  };
}

/** The bytes of a box inside `moov`, as they are in the file. */
function bodyOf({ moov }: Movie, box: BoxPlace): Uint8Array {
  const start = (box.start ?? 0) - moov.offsetBytes;
  return moov.bytes.slice(start + (box.hdr_size ?? 8), start + box.size);
}

// Code points of ISO/IEC 23091-2 that WebCodecs has a name for.
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

/** The first `colr` with code points; QuickTime's "nclc" is "nclx" without the range. */
function colourOf(bodies: readonly Uint8Array[]): ClipColour {
  const body = bodies.find((bytes) => bytes.length >= 10 && /^ncl[xc]$/.test(asciiAt(bytes, 0, 4)));
  if (!body) return { primaries: null, transfer: null, matrix: null, fullRange: null };
  const view = dataView(body);
  return {
    primaries: PRIMARIES[view.getUint16(4)] ?? null,
    transfer: TRANSFERS[view.getUint16(6)] ?? null,
    matrix: MATRICES[view.getUint16(8)] ?? null,
    fullRange: asciiAt(body, 0, 4) === "nclx" && body.length > 10 ? body[10]! >= 0x80 : null,
  };
}

/**
 * The track's matrix `[a b u; c d v; x y w]`, of which only turns by quarters and mirroring are read: (a, b) is where one
 * step right goes, (c, d) one step down. Any other matrix counts as none.
 */
function orientationOf(matrix: ArrayLike<number> | undefined): Orientation {
  const sign = (i: number): number => Math.sign(matrix?.[i] ?? 0);
  switch (`${sign(0)} ${sign(1)} ${sign(3)} ${sign(4)}`) {
    case "-1 0 0 1":
      return 2;
    case "-1 0 0 -1":
      return 3;
    case "1 0 0 -1":
      return 4;
    case "0 1 1 0":
      return 5;
    case "0 1 -1 0":
      return 6;
    case "0 -1 -1 0":
      return 7;
    case "0 -1 1 0":
      return 8;
    default:
      return 1;
  }
}
