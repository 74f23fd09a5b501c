/** Container-independent index of a clip's video track. */
import { OptionError } from "../../base/errors.js";
import type { Orientation } from "../pictures/orientation.js";
import type { ShownSample } from "./edit-list.js";

/** One encoded picture. Its place in `ClipIndex.samples` is its place in the order of decoding. */
export interface VideoSample {
  offsetBytes: number;
  sizeBytes: number;
  /** Composition time in ticks of the track, before the edit list: it orders pictures inside a group. */
  compositionTicks: number;
  isKeyframe: boolean;
  /** Hidden reference frame: decoded, but not output by decoders. */
  isHidden?: boolean;
}

/** Colour signalling of the container, as WebCodecs names it; null where it is not given. */
export interface ClipColour {
  primaries: string | null;
  transfer: string | null;
  matrix: string | null;
  fullRange: boolean | null;
}

/** Index of one video track. */
export interface ClipIndex {
  label: string;
  /** WebCodecs codec string, e.g. "avc1.64001f"; the container's own name of the codec where nothing more is known. */
  codec: string;
  /** Codec configuration record (`avcC`, `hvcC`), for codecs that need one. */
  description: Uint8Array | undefined;
  width: number;
  height: number;
  /** Display rotation, as an EXIF orientation. */
  orientation: Orientation;
  colour: ClipColour;
  /** Ticks a second of the track. */
  timescale: number;
  /** Samples in decode order. */
  samples: VideoSample[];
  /** Frames in presentation order, with the edit list applied. */
  frames: ShownSample[];
  /** Bytes that begin every sample and are not in the file (Matroska's header stripping). */
  samplePrefix?: Uint8Array | undefined;
  /** Declared size of a truncated file, if the number of missing frames is unknown. */
  wholeBytes?: number | undefined;
}

/** Maximum tracks listed in a message. */
const MAX_LISTED = 16;

/** @throws OptionError for anything but a whole number from 0. */
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
 * The place in `tracks` (at least one) of the wanted track; where none is wanted, of the first that is enabled, or the first.
 * @throws OptionError that lists the tracks, as `describe` names them.
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
 * The composition times; NaN for hidden pictures and for those that no decoder can make: those before the first keyframe in
 * the order of decoding, and those after it that are shown before it, as they refer to pictures that are not in the file.
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
