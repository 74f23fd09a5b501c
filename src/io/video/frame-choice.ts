/** Samples the frames of a clip. Source: model specification 3.7. */
import { OptionError, shown } from "../../base/errors.js";

/** Frame sampling options; `frames` and `fps` are mutually exclusive. */
export interface FrameChoice {
  /** Maximum number of frames, evenly spaced from the first to the last. Defaults to 16 unless `fps` is given. */
  frames?: number | undefined;
  /** Sampling rate: the frame displayed at every multiple of 1/fps seconds. */
  fps?: number | undefined;
  /** Start of the span in seconds: earlier frames are ignored. Defaults to the first frame. */
  startSeconds?: number | undefined;
  /** End of the span in seconds, inclusive: frames that begin later are ignored. Defaults to the last frame. */
  endSeconds?: number | undefined;
}

/** Default number of frames, as in the model's reference. */
export const DEFAULT_FRAMES = 16;

/** Tolerance for comparing times of files with k/fps, which are rounded differently. */
const SAME_MOMENT_SECONDS = 1e-6;

/** Validates the options. @throws OptionError for options that exclude each other or are out of range. */
export function checkChoice({ frames, fps, startSeconds, endSeconds }: FrameChoice): void {
  if (frames !== undefined && fps !== undefined) {
    throw wrong("frames, fps", "one of them", `frames ${frames} and fps ${fps}`, "leave one out");
  }
  if (frames !== undefined && !(Number.isInteger(frames) && frames >= 1)) {
    throw wrong("frames", "a whole number of at least 1", shown(frames), "leave it out for 16 frames");
  }
  if (fps !== undefined && !(Number.isFinite(fps) && fps > 0)) {
    throw wrong("fps", "a number above 0", shown(fps), "give frames a second, such as 1");
  }
  for (const [name, value] of [
    ["start", startSeconds],
    ["end", endSeconds],
  ] as const) {
    if (value !== undefined && !Number.isFinite(value)) {
      throw wrong(name, "a time in seconds", shown(value), "leave it out for the whole clip");
    }
  }
  if (startSeconds !== undefined && endSeconds !== undefined && startSeconds > endSeconds) {
    throw wrong(
      "start, end",
      "a start before the end",
      `${seconds(startSeconds)} and ${seconds(endSeconds)}`,
      "exchange them",
    );
  }
}

/** Formats a time for error messages, rounded to milliseconds. */
function seconds(time: number): string {
  return `${Number(time.toFixed(3))} s`;
}

function wrong(where: string, expected: string, got: string, remedy: string): OptionError {
  return new OptionError({ where, expected, got, remedy });
}

/**
 * Returns `count` evenly spaced indices from 0 to `total − 1`, both included: floor(i·((total − 1)/(count − 1))), as NumPy's
 * `linspace(0, total − 1, count, dtype=int)`. For `count` ≥ `total`, every index once.
 */
export function uniformIndices(total: number, count: number): number[] {
  if (count >= total) return Array.from({ length: total }, (_, i) => i);
  if (count === 1) return [0];
  // As in NumPy, the step is rounded before the multiplication, and the last index is set, not computed.
  const step = (total - 1) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? total - 1 : Math.floor(i * step)));
}

/**
 * Returns the indices into `times` (seconds, ascending) of the sampled frames, ascending and without repetition.
 *
 * With `frames` (the default): {@link uniformIndices} of the frames from `startSeconds` to `endSeconds`. With `fps`: for each
 * t = start + k/fps up to the end, the displayed frame, which is the last one at or before t; a rate above the clip's returns each frame
 * once. If no frame begins within the span, the frame displayed at its start is returned.
 * @throws OptionError if the span is outside the clip.
 */
export function chooseFrames(times: readonly number[], choice: FrameChoice): number[] {
  checkChoice(choice);
  const first = times[0]!;
  const last = times[times.length - 1]!;
  const { frames, fps, startSeconds = first, endSeconds = last } = choice;
  if (endSeconds < first - SAME_MOMENT_SECONDS) {
    const got = `${seconds(endSeconds)}, before its first frame at ${seconds(first)}`;
    throw wrong("end", "a time inside the clip", got, "choose a later end");
  }
  // The last frame's duration is unknown here; that of the frame before is assumed.
  const lastGap = times.length > 1 ? last - times[times.length - 2]! : 1;
  if (startSeconds > last + lastGap + SAME_MOMENT_SECONDS) {
    const got = `${seconds(startSeconds)}, after its last frame at ${seconds(last)}`;
    throw wrong("start", "a time inside the clip", got, "choose an earlier start");
  }
  if (fps === undefined) {
    const from = firstAtOrAfter(times, startSeconds - SAME_MOMENT_SECONDS);
    const to = firstAtOrAfter(times, endSeconds + SAME_MOMENT_SECONDS);
    if (to <= from) return [Math.max(0, from - 1)];
    return uniformIndices(to - from, frames ?? DEFAULT_FRAMES).map((i) => from + i);
  }
  const chosen: number[] = [];
  for (let k = 0; ; ) {
    const moment = startSeconds + k / fps;
    if (moment > endSeconds + SAME_MOMENT_SECONDS && k > 0) break;
    const onDisplay = Math.max(0, firstAtOrAfter(times, moment + SAME_MOMENT_SECONDS) - 1);
    if (onDisplay !== chosen[chosen.length - 1]) chosen.push(onDisplay);
    const next = times[onDisplay + 1];
    if (next === undefined) break;
    // Skip the times at which the same frame is displayed.
    k = Math.max(k + 1, Math.ceil((next - SAME_MOMENT_SECONDS - startSeconds) * fps));
  }
  return chosen;
}

/** Returns the first index in ascending `times` at or after `moment`; the length if there is none. */
function firstAtOrAfter(times: readonly number[], moment: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < moment) low = middle + 1;
    else high = middle;
  }
  return low;
}
