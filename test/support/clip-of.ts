import type { ClipIndex } from "../../src/io/video/clip-index.js";

/** A clip of samples of 10 bytes; `ticks` in decode order, keyframes named. */
export function clipOf(ticks: number[], keys: number[], shown?: number[]): ClipIndex {
  const samples = ticks.map((compositionTicks, i) => ({
    offsetBytes: i * 10,
    sizeBytes: 10,
    compositionTicks,
    isKeyframe: keys.includes(i),
  }));
  const byTime = shown ?? ticks.map((_, i) => i).sort((a, b) => ticks[a]! - ticks[b]!);
  return {
    label: "clip",
    codec: "avc1.64001f",
    description: undefined,
    width: 2,
    height: 2,
    orientation: 1,
    colour: { primaries: null, transfer: null, matrix: null, fullRange: null },
    timescale: 10,
    samples,
    frames: byTime.map((sample, i) => ({ sample, timestampSeconds: i / 10 })),
  };
}
