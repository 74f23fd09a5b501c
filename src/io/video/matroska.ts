/**
 * The index of a WebM or Matroska file: how to decode its video track, where its frames lie, and when they are shown.
 * There is no table to read: the headers of all blocks are walked over, in live recordings (no duration, no sizes, no
 * cues) as in finished ones. Source: RFC 9559.
 */
import { MediaError, OcellusError } from "../../base/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { type ClipIndex, decodableTimes } from "./clip-index.js";
import { applyEdits } from "./edit-list.js";
import { configOf } from "./matroska-track.js";
import { UNDAMAGED, Walk } from "./matroska-walk.js";

/** Of the first keyframe as much as a codec may put before what it says of itself. */
const MAX_KEYFRAME_BYTES = 64 * 1024;

/**
 * Reads the index of a WebM or Matroska file. `track` counts its video tracks from 0; the first enabled one if not given.
 * Files one after the other, as recorders append them, are one clip: where times go back, they go on instead.
 * @throws MediaError without a video track or picture, or for a broken file; OptionError for a track that is not there;
 * SourceError; AbortedError.
 */
export async function readMatroskaIndex(
  source: ByteSource,
  label: string,
  options: { signal?: AbortSignal | undefined; track?: number | undefined } = {},
): Promise<ClipIndex> {
  try {
    const walk = new Walk(source, label, options);
    await walk.run();
    // Blocks before their track's description say nothing until that is known.
    if (walk.passedBlocks) await walk.run();
    return await indexOf(walk);
  } catch (cause) {
    if (cause instanceof OcellusError) throw cause;
    throw new MediaError({
      where: label,
      expected: "a WebM or Matroska file that can be parsed",
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: UNDAMAGED,
      cause,
    });
  }
}

async function indexOf({ source, label, signal, track, timestampScale, blocks, wholeBytes }: Walk): Promise<ClipIndex> {
  if (!track) {
    throw new MediaError({
      where: label,
      expected: "a WebM or Matroska file with a description of its tracks",
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
      expected: "a video track that shows at least one picture",
      got: `${samples.length} blocks, none of which can be shown`,
      remedy: "the recording may not have been finished; get a complete copy",
    });
  }
  const first = samples.find(({ isKeyframe }) => isKeyframe)!;
  const keyframe = await source.read(first.offsetBytes, Math.min(first.sizeBytes, MAX_KEYFRAME_BYTES), signal);
  const config = await configOf(track, keyframe, label);
  const samplePrefix = track.prefix.length > 0 ? track.prefix : undefined;
  return { label, ...config, timescale, samples, frames, samplePrefix, wholeBytes };
}
