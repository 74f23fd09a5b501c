/**
 * Applies the edit list of a track: maps sample times (in the track's timescale) to presentation times. Durations of edits are in the
 * movie's timescale. Source: ISO/IEC 14496-12, section 8.6.6.
 */

/** One edit: presents `durationTicks` (movie timescale) of the track from `mediaTime` (track timescale) on. */
export interface Edit {
  /** 0 means "to the end of the track", as in fragmented files. */
  durationTicks: number;
  /** −1 is an empty edit: nothing is presented. */
  mediaTime: number;
  /** 0 is a dwell: one picture for the duration. Any other rate counts as 1, as in the reference. */
  rate: number;
}

export interface Timescales {
  /** Ticks per second of the track and of the movie. */
  track: number;
  movie: number;
}

/** Maximum number of presented samples: an edit list may repeat the track. */
const MAX_SHOWN = 2 ** 22;

/** A presented sample: its index in decode order, and its presentation time in seconds. */
export interface ShownSample {
  sample: number;
  timestampSeconds: number;
}

/**
 * Returns the presented samples in presentation order. `times`: composition times in decode order; NaN for samples that yield no frame,
 * which are never presented. Without edits every sample is presented at its own time. An edit list may repeat the track, up to
 * `maxShown` samples in total.
 */
export function applyEdits(
  times: readonly number[],
  edits: readonly Edit[],
  scales: Timescales,
  maxShown = MAX_SHOWN,
): ShownSample[] {
  const byTime = times.map((_, sample) => sample).filter((sample) => !Number.isNaN(times[sample]!));
  // Samples of equal time stay in decode order.
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

/** Binary search: returns the first index at which `holds` is true, the length if there is none. */
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
