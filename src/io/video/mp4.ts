/**
 * Reads the index of an MP4 file: decoder configuration of a video track, byte ranges of its samples, and presentation times. Nothing is
 * decoded. Source: ISO/IEC 14496-12 and 14496-15.
 */
import { causeMessage } from "../../base/cause-message.js";
import { MediaError, OcellusError } from "../../base/errors.js";
import { asciiAt } from "../bytes/bytes.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import type { ByteSource } from "../bytes/source.js";
import type { Orientation } from "../pictures/orientation.js";
import { type ClipIndex, chooseTrack, decodableTimes, type VideoSample } from "./clip-index.js";
import { applyEdits } from "./edit-list.js";
import { type Box, type BoxReader, indexBoxes } from "./mp4-boxes.js";
import { IndexBudget } from "./mp4-budget.js";
import { readFragment, readTrackDefaults, type TrackDefaults } from "./mp4-fragments.js";
import { readSampleTable, SampleList } from "./mp4-samples.js";
import { readTrack, type TrackBoxes } from "./mp4-track.js";

export type { ClipColour, ClipIndex, VideoSample } from "./clip-index.js";

/**
 * Reads the index of an MP4 or QuickTime file, fragmented or not, without reading media data. `track`: number of the video track, from
 * 0; defaults to the first enabled one, else the first. Memory is limited to 4 times the file size plus 64 MB.
 * @throws MediaError for a broken file and one without video track or frames; OptionError for a track that does not exist; SourceError;
 * AbortedError.
 */
export async function readClipIndex(
  source: ByteSource,
  label: string,
  signal?: AbortSignal,
  track?: number,
): Promise<ClipIndex> {
  const budget = new IndexBudget(label, source.sizeBytes);
  const list = new SampleList(label, source.sizeBytes);
  let movie: { reader: BoxReader; boxes: TrackBoxes } | undefined;
  let defaults: TrackDefaults | undefined;
  let id = 0;
  try {
    for await (const reader of indexBoxes(source, label, budget, signal)) {
      if (movie && defaults) {
        readFragment(reader, id, defaults, list);
        continue;
      }
      const { mvex } = reader.firstOf(reader.outer, "mvex");
      const boxes = videoTrack(reader, track);
      movie = { reader, boxes };
      id = trackId(reader, boxes.tkhd);
      readSampleTable(reader, boxes.stbl, list);
      if (!mvex) break;
      defaults = readTrackDefaults(reader, mvex);
    }
    return indexOf(movie!.reader, movie!.boxes, list);
  } catch (cause) {
    throw asIndexFault(cause, label);
  }
}

function indexOf(reader: BoxReader, boxes: TrackBoxes, { samples, description = 1 }: SampleList): ClipIndex {
  const { label } = reader;
  startAtKeyframe(samples);
  const { timescales, matrix, edits, ...entry } = readTrack(reader, boxes, description);
  const { track, movie } = timescales;
  const timed = track > 0 && (movie > 0 || edits.length === 0);
  const maxShown = samples.length + reader.budget.entries;
  const frames = timed ? applyEdits(decodableTimes(samples), edits, timescales, maxShown) : [];
  if (frames.length === 0) {
    throw new MediaError({
      where: label,
      expected: "a video track with at least one frame to display",
      got: `${samples.length} samples at ${track} ticks a second, none of them shown`,
      remedy: "get an undamaged copy",
    });
  }
  return { label, ...entry, orientation: orientationOf(matrix), timescale: track, samples, frames };
}

/** Maximum number of track types listed in an error message. */
const MAX_NAMED = 8;
const ENABLED = 0x01;

/** Returns the boxes of video track `wanted`; by default of the first enabled one, else the first. */
function videoTrack(reader: BoxReader, wanted: number | undefined): TrackBoxes {
  const { label, outer: moov } = reader;
  const kinds = new Set<string>();
  let mvhd: Box | undefined;
  const videos: { trak: Box; isEnabled: boolean }[] = [];
  for (const trak of reader.children(moov)) {
    if (trak.type === "mvhd") mvhd ??= trak;
    if (trak.type !== "trak") continue;
    const { tkhd, mdia } = reader.firstOf(trak, "tkhd", "mdia");
    const { hdlr } = mdia ? reader.firstOf(mdia, "hdlr") : {};
    const kind = hdlr ? asciiAt(reader.bytes, reader.need(hdlr, 12) + 8, 4) : "unknown";
    if (kinds.size < MAX_NAMED) kinds.add(printableAscii(kind));
    if (kind !== "vide" || !tkhd) continue;
    videos.push({ trak, isEnabled: (reader.flags(tkhd) & ENABLED) !== 0 });
  }
  if (videos.length === 0) {
    throw new MediaError({
      where: label,
      expected: "a video track",
      got: kinds.size > 0 ? `tracks of other kinds (${[...kinds].join(", ")})` : "no track at all",
      remedy: "give a file with a video track",
    });
  }
  const { trak } = videos[chooseTrack(videos, wanted, label, ({ trak }) => describe(reader, trak))]!;
  const { tkhd, edts, mdia } = reader.firstOf(trak, "tkhd", "edts", "mdia");
  const { mdhd, minf } = needed(reader, mdia!, "mdhd", "minf");
  const { stbl } = needed(reader, minf, "stbl");
  const { stsd } = needed(reader, stbl, "stsd");
  if (!mvhd) throw reader.broken(moov, 'a box "mvhd"', "none");
  return { mvhd, tkhd: tkhd!, elst: edts && reader.firstOf(edts, "elst").elst, mdhd, stbl, stsd };
}

/** Describes codec and size of a track, for error messages. */
function describe(reader: BoxReader, trak: Box): string {
  let box: Box | undefined = trak;
  for (const type of ["mdia", "minf", "stbl", "stsd"]) box = box && reader.firstOf(box, type)[type];
  // The fields of `stsd`, the header of its first entry, and the fields of the entry up to the height.
  if (!box || box.end - box.start < 44) return "without a description";
  const { view, bytes } = reader;
  const size = `${view.getUint16(box.start + 40)}×${view.getUint16(box.start + 42)}`;
  return `${printableAscii(asciiAt(bytes, box.start + 12, 4))} ${size}`;
}

function needed<Type extends string>(reader: BoxReader, box: Box, ...types: readonly Type[]): Record<Type, Box> {
  const found = reader.firstOf(box, ...types);
  for (const type of types) if (!found[type]) throw reader.broken(box, `a box "${type}"`, "none");
  return found as Record<Type, Box>;
}

function trackId(reader: BoxReader, tkhd: Box): number {
  const at = reader.version(tkhd) === 1 ? 20 : 12;
  return reader.view.getUint32(reader.need(tkhd, at + 4) + at);
}

/** Marks the first sample as a keyframe if there is none, as in streams with gradual intra refresh. */
function startAtKeyframe(samples: readonly VideoSample[]): void {
  if (samples[0] && !samples.some((sample) => sample.isKeyframe)) samples[0].isKeyframe = true;
}

/**
 * Returns the orientation of a track's matrix `[a b u; c d v; x y w]`, which maps one step right to (a, b) and one step down to (c, d).
 * Only quarter turns and mirroring are supported; other matrices are ignored.
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

/** Returns an OcellusError unchanged, and wraps any other error in a MediaError about the index. */
function asIndexFault(cause: unknown, label: string): OcellusError {
  if (cause instanceof OcellusError) return cause;
  // mp4box throws these for missing or truncated boxes.
  const missing = cause instanceof TypeError || cause instanceof RangeError;
  return new MediaError({
    where: `${label}, box "moov"`,
    expected: "complete tables of the video track",
    got: missing ? "boxes that are missing, cut or broken" : printableAscii(causeMessage(cause)),
    remedy: "get an undamaged copy, or rewrite the file: ffmpeg -i in.mp4 -c copy out.mp4",
    cause,
  });
}
