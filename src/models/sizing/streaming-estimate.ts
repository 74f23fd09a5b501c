import type { TensorIndex } from "../../io/checkpoint.js";
import type { ByteSource } from "../../io/source.js";
import { CHUNK_BYTES } from "../../layers/weights.js";
import type { LlavaOneVisionConfig } from "../llava-onevision/config.js";
import type { Footprint } from "./footprint.js";

/** What a decoder takes whose layers stream (`weights: "stream"`). All sizes are in bytes. */
export interface StreamingEstimate {
  /** The least `memoryBudget` that works: two layers, all other weights, the caches and the activations. */
  readonly leastBytes: number;
  /** Memory of a layer on the adapter. */
  readonly layerBytes: number;
  /** Layers of the decoder. */
  readonly layers: number;
  /** Those of them that stay on the adapter within `memoryBudget`; 0 without one. */
  readonly residentLayers: number;
  /** Bytes of the checkpoint that are read for a prompt, and for each step, which may be of several tokens (drafts) or sequences (batches). */
  readonly readBytes: number;
  /** How long that takes at `readBytesPerSecond`: the least seconds of a step, however fast the adapter is. */
  readonly readSeconds?: number;
}

/** Most bytes and seconds of a measurement. */
const MEASURED_BYTES = 256 * 1024 * 1024;
const MEASURED_SECONDS = 2;

/** Returns how many layers stay within a budget; all but those of the ring and one if there is room. `least`: without any. */
export function residentLayers(
  budgetBytes: number,
  least: Pick<Footprint, "layerBytes" | "slots">,
  leastBytes: number,
  layers: number,
): number {
  const fitting = Math.floor((budgetBytes - leastBytes) / least.layerBytes);
  return Math.max(0, Math.min(fitting, layers - least.slots - 1));
}

/** Bytes of a file that a pass reads. */
export interface StreamedRange {
  readonly source: ByteSource;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * What is read of a decoder's layers from `first` on, in their order: tensors, or the layers of a packed checkpoint as they are, which takes its
 * own storage dtypes for granted.
 */
export function streamedRanges(
  index: TensorIndex,
  { layout, text }: LlavaOneVisionConfig,
  first: number,
): StreamedRange[] {
  const ranges: StreamedRange[] = [];
  const packed = new Map(index.packed?.layers.map((layer) => [layer.name, layer]));
  for (let layer = first; layer < text.layers; layer++) {
    const name = `${layout.language}.layers.${layer}`;
    const whole = packed.get(name);
    if (whole) ranges.push(whole);
    else
      for (const [tensor, { entry, source }] of index.entries) {
        if (tensor.startsWith(`${name}.`)) ranges.push({ ...entry, source });
      }
  }
  return ranges;
}

/**
 * Measures the bytes per second at which ranges are read, for at most two seconds. What the operating system has in memory is read faster than
 * from the disk. Throws SourceError, AbortedError.
 */
export async function measuredRate(ranges: readonly StreamedRange[], signal: AbortSignal | undefined): Promise<number> {
  const into = new Uint8Array(CHUNK_BYTES);
  const begun = performance.now();
  let bytes = 0;
  for (const { source, offsetBytes, lengthBytes } of ranges) {
    for (let at = 0; at < lengthBytes; at += CHUNK_BYTES) {
      const seconds = (performance.now() - begun) / 1000;
      if (bytes >= MEASURED_BYTES || seconds >= MEASURED_SECONDS) return bytes / seconds;
      const length = Math.min(CHUNK_BYTES, lengthBytes - at);
      bytes += (await source.read(offsetBytes + at, length, signal, into)).length;
    }
  }
  return (1000 * bytes) / (performance.now() - begun);
}
