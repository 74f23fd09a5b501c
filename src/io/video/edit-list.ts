/**
 * The edit list of a track: which samples are shown, and when. Times of samples are in units of the track's timescale,
 * durations of edits in units of the movie's. Source: ISO/IEC 14496-12, section 8.6.6.
 */

/** One edit: shows `durationTicks` (movie timescale) of the track from `mediaTime` (track timescale) on. */
export interface Edit {
  /** 0 means "to the end of the track": files with fragments do not know their length. */
  durationTicks: number;
  /** -1 shows nothing for the duration. */
  mediaTime: number;
  /** 0 holds one picture for the duration; any other rate counts as 1, as in the reference. */
  rate: number;
}

export interface Timescales {
  /** Ticks a second of the track and of the movie. */
  track: number;
  movie: number;
}

/** Maximum shown pictures of an edit list, which may repeat the track. */
const MAX_SHOWN = 2 ** 22;

/** A sample on display: its place in decode order and the second at which it appears. */
export interface ShownSample {
  sample: number;
  timestampSeconds: number;
}

/**
 * The samples on display in the order of time. `times` are composition times, in the order of decoding; samples whose
 * time is NaN cannot be decoded and are never shown. Without edits every sample is shown at its own time. A list may
 * show the whole track again and again, but no more than `maxShown` pictures in all.
 */
export function applyEdits(
  times: readonly number[],
  edits: readonly Edit[],
  scales: Timescales,
  maxShown = MAX_SHOWN,
): ShownSample[] {
  const byTime = times.map((_, sample) => sample).filter((sample) => !Number.isNaN(times[sample]!));
  // Equal times keep the order of decoding.
  byTime.sort((a, b) => times[a]! - times[b]! || a - b);
  if (edits.length === 0) {
    return byTime.map((sample) => ({ sample, timestampSeconds: times[sample]! / scales.track }));
  }
  const shown: ShownSample[] = [];
  const firstFrom = (time: number): number => firstPlace(byTime, (sample) => times[sample]! >= time);
  let startSeconds = 0;
  for (const { durationTicks, mediaTime, rate } of edits) {
    const seconds = durationTicks / scales.movie;
    if (mediaTime >= 0) {
      const endTime = durationTicks === 0 ? Number.POSITIVE_INFINITY : mediaTime + seconds * scales.track;
      const afterHeld = firstPlace(byTime, (sample) => times[sample]! > mediaTime);
      const [from, to] =
        rate === 0 ? [Math.max(0, afterHeld - 1), afterHeld] : [firstFrom(mediaTime), firstFrom(endTime)];
      if (shown.length + to - from > maxShown) throw new Error(`more than ${maxShown} pictures by the edit list`);
      for (let i = from; i < to; i++) {
        const sample = byTime[i]!;
        const after = rate === 0 ? 0 : (times[sample]! - mediaTime) / scales.track;
        shown.push({ sample, timestampSeconds: startSeconds + after });
      }
    }
    startSeconds += seconds;
  }
  return shown;
}

/** Binary search: the first index from which on `holds` is true; the length if it never is. */
function firstPlace(list: readonly number[], holds: (value: number) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(list[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
