/** Samples the frames of a clip. Source: model specification 3.7. */
import { OptionError, shown } from "../../base/errors.js";

/** Frame sampling options; `frames` and `fps` are mutually exclusive. */
export interface FrameChoice {
  /** Maximum number of frames, evenly spaced from the first to the last. 16 if neither this nor `fps` is given. */
  frames?: number | undefined;
  /** For every 1/fps seconds the frame on display at that moment. */
  fps?: number | undefined;
  /** Only frames shown from this second of the clip on; from its first frame if not given. */
  startSeconds?: number | undefined;
  /** Only frames that begin to be shown up to this second, itself included; up to the last frame if not given. */
  endSeconds?: number | undefined;
}

/** Default number of frames, as in the model's reference. */
export const DEFAULT_FRAMES = 16;

/** Times read from files and k/fps are rounded differently; nearer than this they are the same. */
const SAME_MOMENT_SECONDS = 1e-6;

/** @throws OptionError for options that contradict each other or are out of range. */
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
    throw wrong("start, end", "a start before the end", `${startSeconds} and ${endSeconds}`, "exchange them");
  }
}

/** A time for a message, to the millisecond. */
function seconds(time: number): string {
  return `${Number(time.toFixed(3))} s`;
}

function wrong(where: string, expected: string, got: string, remedy: string): OptionError {
  return new OptionError({ where, expected, got, remedy });
}

/**
 * `count` numbers out of 0 to `total - 1`, first and last included: floor(i·((total - 1)/(count - 1))), NumPy's
 * `linspace(0, total - 1, count, dtype=int)`. No more than exist: for `count` ≥ `total` every number once.
 */
export function uniformIndices(total: number, count: number): number[] {
  if (count >= total) return Array.from({ length: total }, (_, i) => i);
  if (count === 1) return [0];
  // The step is rounded before it is multiplied, as NumPy has it; the last one is set, not computed.
  const step = (total - 1) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? total - 1 : Math.floor(i * step)));
}

/**
 * The places in `times` (seconds, ascending) that a choice takes, ascending, none twice.
 *
 * With `frames` (or neither): {@link uniformIndices} of the frames from `startSeconds` to `endSeconds`. With `fps`: for
 * each t = start + k/fps up to the end the frame on display, that is the last at or before t; a rate above the clip's
 * gives each frame once. Where no frame begins in the span, the one on display at its start is taken.
 * @throws OptionError if the span lies outside the clip.
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
  // The last frame's own duration is not known here; the one before it tells how long it may be.
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
    // Moments that show the same frame are passed over at once.
    k = Math.max(k + 1, Math.ceil((next - SAME_MOMENT_SECONDS - startSeconds) * fps));
  }
  return chosen;
}

/** The first place in ascending `times` whose time is at or after `moment`; the length where there is none. */
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
