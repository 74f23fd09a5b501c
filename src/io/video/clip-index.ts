/** Container-independent index of a clip's video track. */
import { OptionError } from "../../base/errors.js";
import type { Orientation } from "../pictures/orientation.js";
import type { ShownSample } from "./edit-list.js";

/** One sample: an encoded picture and its byte range. `ClipIndex.samples` is in decode order. */
export interface VideoSample {
  offsetBytes: number;
  sizeBytes: number;
  /** Composition time in ticks of the track, before the edit list; defines the display order within a group of pictures. */
  compositionTicks: number;
  isKeyframe: boolean;
  /** Whether this is a hidden reference frame, which decoders do not output. */
  isHidden?: boolean;
}

/** Colour signalling of the container, in WebCodecs' names; null if not given. */
export interface ClipColour {
  primaries: string | null;
  transfer: string | null;
  matrix: string | null;
  fullRange: boolean | null;
}

/** Index of one video track. */
export interface ClipIndex {
  label: string;
  /** WebCodecs codec string, e.g. "avc1.64001f"; the container's codec name if none is known. */
  codec: string;
  /** Codec configuration record (`avcC`, `hvcC`), for codecs that need one. */
  description: Uint8Array | undefined;
  width: number;
  height: number;
  /** Display rotation, as an EXIF orientation. */
  orientation: Orientation;
  colour: ClipColour;
  /** Ticks per second of the track. */
  timescale: number;
  /** Samples in decode order. */
  samples: VideoSample[];
  /** Frames in presentation order, with the edit list applied. */
  frames: ShownSample[];
  /** Bytes that were stripped from the start of every sample (Matroska's header stripping); prepended before decoding. */
  samplePrefix?: Uint8Array | undefined;
  /** Declared size of a truncated file, if the number of missing frames is unknown. */
  wholeBytes?: number | undefined;
}

/** Maximum number of tracks listed in an error message. */
const MAX_LISTED = 16;

/** Validates a track number. @throws OptionError for anything but a non-negative integer. */
export function checkTrack(track: unknown): void {
  if (track === undefined || (Number.isInteger(track) && (track as number) >= 0)) return;
  throw new OptionError({
    where: "track",
    expected: "a whole number from 0, which is the first video track of the file",
    got: typeof track === "number" ? String(track) : (JSON.stringify(track) ?? String(track)),
    remedy: "leave it out for the first enabled one",
  });
}

/**
 * Returns the index of the wanted track in `tracks` (at least one); by default that of the first enabled track, else 0.
 * @throws OptionError if it does not exist; the message lists the tracks, described by `describe`.
 */
export function chooseTrack<Track extends { isEnabled: boolean }>(
  tracks: readonly Track[],
  wanted: number | undefined,
  label: string,
  describe: (track: Track) => string,
): number {
  checkTrack(wanted);
  const enabled = tracks.findIndex(({ isEnabled }) => isEnabled);
  if (wanted === undefined) return Math.max(0, enabled);
  if (wanted < tracks.length) return wanted;
  const listed = tracks
    .slice(0, MAX_LISTED)
    .map((track, i) => `${i}: ${describe(track)}${track.isEnabled ? "" : ", disabled"}`);
  if (tracks.length > MAX_LISTED) listed.push("…");
  throw new OptionError({
    where: `${label}, track`,
    expected: tracks.length === 1 ? "track 0, the only video track" : `a video track from 0 to ${tracks.length - 1}`,
    got: String(wanted),
    remedy: `choose one of these: ${listed.join("; ")}`,
  });
}

/**
 * Returns the composition times of samples in decode order; NaN for samples that yield no frame: hidden ones, those before the first
 * keyframe, and leading pictures of the first keyframe (decoded after it, displayed before it), whose references are missing.
 */
export function decodableTimes(samples: readonly VideoSample[]): number[] {
  const first = samples.findIndex((sample) => sample.isKeyframe);
  const next = samples.findIndex((sample, i) => i > first && sample.isKeyframe);
  return samples.map((sample, i) => {
    const leading =
      i < (next < 0 ? samples.length : next) && sample.compositionTicks < samples[first]!.compositionTicks;
    return first < 0 || i < first || leading || sample.isHidden ? Number.NaN : sample.compositionTicks;
  });
}
