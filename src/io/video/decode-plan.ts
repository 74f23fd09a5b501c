/** Plans which samples are decoded for the wanted frames, and how they are read. */
import type { ClipIndex, VideoSample } from "./clip-index.js";

/** Samples that are decoded without a reset, from a keyframe on. */
export interface DecodeRun {
  /** Indices into `ClipIndex.samples`, ascending: decode order. */
  samples: number[];
  /** Samples that are not hidden, in the decoder's output order (display order). */
  displayed: number[];
  /** Wanted samples. */
  wanted: Set<number>;
}

/**
 * Returns the runs for `wanted` (indices into `ClipIndex.frames`, ascending), in presentation order. A run begins at the keyframe of a
 * group of pictures with a wanted frame and ends at the last wanted one.
 */
export function planRuns(clip: ClipIndex, wanted: readonly number[]): DecodeRun[] {
  const keys = keyframesBefore(clip.samples);
  const runs: DecodeRun[] = [];
  let latest = Number.NEGATIVE_INFINITY;
  let open: { start: number; end: number; wanted: Set<number> } | undefined;
  for (const frame of wanted) {
    const { sample } = clip.frames[frame]!;
    const ticks = clip.samples[sample]!.compositionTicks;
    const start = startOf(clip.samples, keys, sample);
    // After an edit that goes back in the track, a new run begins.
    if (open && ticks >= latest && start >= open.start && start <= open.end) {
      open.end = Math.max(open.end, sample);
    } else {
      if (open) runs.push(closed(clip.samples, open));
      open = { start, end: sample, wanted: new Set() };
    }
    open.wanted.add(sample);
    latest = ticks;
  }
  if (open) runs.push(closed(clip.samples, open));
  return runs;
}

/** Returns the keyframe from which decoding must start for a sample. */
function startOf(samples: readonly VideoSample[], keys: Uint32Array, sample: number): number {
  const key = keys[sample]!;
  // A leading picture (displayed before its keyframe) may refer to the previous group of pictures (open GOP).
  const leading = key > 0 && samples[sample]!.compositionTicks < samples[key]!.compositionTicks;
  return leading ? keys[key - 1]! : key;
}

/** Returns the index of the last keyframe at or before each sample. */
function keyframesBefore(samples: readonly VideoSample[]): Uint32Array {
  const keys = new Uint32Array(samples.length);
  let key = 0;
  for (const [i, sample] of samples.entries()) {
    if (sample.isKeyframe) key = i;
    keys[i] = key;
  }
  return keys;
}

function closed(
  samples: readonly VideoSample[],
  { start, end, wanted }: { start: number; end: number; wanted: Set<number> },
): DecodeRun {
  const ticks = (sample: number): number => samples[sample]!.compositionTicks;
  const taken: number[] = [];
  let beforeNextKey = true;
  for (let sample = start; sample <= end; sample++) {
    if (sample > start && samples[sample]!.isKeyframe) beforeNextKey = false;
    // Leading pictures of the first keyframe are dropped: their references are not decoded, and later pictures do not refer to them.
    if (beforeNextKey && ticks(sample) < ticks(start)) continue;
    taken.push(sample);
  }
  const displayed = taken.filter((sample) => !samples[sample]!.isHidden).sort((a, b) => ticks(a) - ticks(b) || a - b);
  return { samples: taken, displayed, wanted };
}

/** A byte range and the samples in it, read at once. */
export interface ReadBlock {
  offsetBytes: number;
  lengthBytes: number;
  samples: number[];
}

/** Maximum gap between samples (such as audio) that is read along instead of starting another read. */
const MAX_GAP_BYTES = 4096;
/** Maximum length of a read of several samples. */
const MAX_BLOCK_BYTES = 1024 * 1024;

/** Returns the reads that cover the samples of a run, in its order. */
export function planReads(samples: readonly VideoSample[], run: readonly number[]): ReadBlock[] {
  const blocks: ReadBlock[] = [];
  for (const number of run) {
    const { offsetBytes, sizeBytes } = samples[number]!;
    const block = blocks[blocks.length - 1];
    const end = block ? block.offsetBytes + block.lengthBytes : 0;
    const gap = offsetBytes - end;
    if (block && gap >= 0 && gap <= MAX_GAP_BYTES && block.lengthBytes + gap + sizeBytes <= MAX_BLOCK_BYTES) {
      block.lengthBytes += gap + sizeBytes;
      block.samples.push(number);
    } else {
      blocks.push({ offsetBytes, lengthBytes: sizeBytes, samples: [number] });
    }
  }
  return blocks;
}
