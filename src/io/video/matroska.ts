/**
 * Reads the index of a WebM or Matroska file: decoder configuration, byte ranges and times of the frames of one video track. The format
 * has no sample table, so the headers of all blocks are read; this works for live recordings too (no duration, sizes or cues).
 * Source: RFC 9559.
 */
import { causeMessage } from "../../base/cause-message.js";
import { MediaError, OcellusError } from "../../base/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { type ClipIndex, decodableTimes } from "./clip-index.js";
import { applyEdits } from "./edit-list.js";
import { configOf } from "./matroska-track.js";
import { UNDAMAGED, Walk } from "./matroska-walk.js";

/** Bytes of the first keyframe that are read for codec parameters. */
const MAX_KEYFRAME_BYTES = 64 * 1024;

/**
 * Reads the index of a WebM or Matroska file. `track`: number of the video track, from 0; defaults to the first enabled one. Recordings
 * that are appended to one file are one clip: timestamps that go back are shifted to continue.
 * @throws MediaError for a broken file and one without video track or frames; OptionError for a track that does not exist; SourceError;
 * AbortedError.
 */
export async function readMatroskaIndex(
  source: ByteSource,
  label: string,
  options: { signal?: AbortSignal | undefined; track?: number | undefined } = {},
): Promise<ClipIndex> {
  try {
    const walk = new Walk(source, label, options);
    await walk.run();
    // Blocks that precede `Tracks` are read in a second walk.
    if (walk.passedBlocks) await walk.run();
    return await indexOf(walk);
  } catch (cause) {
    if (cause instanceof OcellusError) throw cause;
    throw new MediaError({
      where: label,
      expected: "a WebM or Matroska file that can be parsed",
      got: causeMessage(cause),
      remedy: UNDAMAGED,
      cause,
    });
  }
}

async function indexOf({ source, label, signal, track, timestampScale, blocks, wholeBytes }: Walk): Promise<ClipIndex> {
  if (!track) {
    throw new MediaError({
      where: label,
      expected: "a WebM or Matroska file with a Tracks element",
      got: `none in its ${source.sizeBytes} bytes`,
      remedy: "the recording may not have been finished; get a complete copy",
    });
  }
  const timescale = 1e9 / timestampScale;
  const samples = blocks.samples();
  const frames = applyEdits(decodableTimes(samples), [], { track: timescale, movie: timescale });
  if (frames.length === 0) {
    throw new MediaError({
      where: label,
      expected: "a video track with at least one frame to display",
      got: `${samples.length} blocks, none of which has such a frame`,
      remedy: "the recording may not have been finished; get a complete copy",
    });
  }
  const first = samples.find(({ isKeyframe }) => isKeyframe)!;
  const keyframe = await source.read(first.offsetBytes, Math.min(first.sizeBytes, MAX_KEYFRAME_BYTES), signal);
  const config = await configOf(track, keyframe, label);
  const samplePrefix = track.prefix.length > 0 ? track.prefix : undefined;
  return { label, ...config, timescale, samples, frames, samplePrefix, wholeBytes };
}
