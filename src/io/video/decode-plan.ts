/** Plans the decoding of wanted samples: decode runs and reads. */
import type { ClipIndex, VideoSample } from "./clip-index.js";

/** A decode run: samples from a keyframe on. */
export interface DecodeRun {
  /** Places in `ClipIndex.samples`, ascending: the order in which the decoder takes them. */
  samples: number[];
  /** Visible samples, in the decoder's output order. */
  displayed: number[];
  /** Wanted samples. */
  wanted: Set<number>;
}

/**
 * The runs for `wanted` (places in `ClipIndex.frames`, ascending): the start of every group of pictures that holds a
 * wanted frame, up to the last one wanted. Runs follow each other in the order of the frames' times.
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
    // An edit list may go back in the track: what comes next is then decoded on its own.
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

/** The keyframe from which a sample can be decoded. */
function startOf(samples: readonly VideoSample[], keys: Uint32Array, sample: number): number {
  const key = keys[sample]!;
  // A picture shown before its own keyframe may refer to the group before.
  const leading = key > 0 && samples[sample]!.compositionTicks < samples[key]!.compositionTicks;
  return leading ? keys[key - 1]! : key;
}

/** For every sample the last keyframe up to it. */
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
    // Pictures shown before the first keyframe refer to what is not decoded here; nothing after them refers to them.
    if (beforeNextKey && ticks(sample) < ticks(start)) continue;
    taken.push(sample);
  }
  const displayed = taken.filter((sample) => !samples[sample]!.isHidden).sort((a, b) => ticks(a) - ticks(b) || a - b);
  return { samples: taken, displayed, wanted };
}

/** Samples of one read. */
export interface ReadBlock {
  offsetBytes: number;
  lengthBytes: number;
  samples: number[];
}

/** Maximum gap between samples (such as audio) that is read rather than skipped by a further read. */
const MAX_GAP_BYTES = 4096;
/** A read is no longer than this, unless a sample is. */
const MAX_BLOCK_BYTES = 1024 * 1024;

/** The reads that bring a run's samples, in their order. */
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
