import type { IndexedTensor, TensorIndex } from "../../io/checkpoint.js";
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

/** The stored tensors of a decoder's layers from `first` on, in the order of their layers. */
export function streamedTensors(index: TensorIndex, config: LlavaOneVisionConfig, first: number): IndexedTensor[] {
  const tensors: IndexedTensor[] = [];
  const { layout, text } = config;
  for (let layer = first; layer < text.layers; layer++) {
    const prefix = `${layout.language}.layers.${layer}.`;
    for (const [name, tensor] of index.entries) if (name.startsWith(prefix)) tensors.push(tensor);
  }
  return tensors;
}

/**
 * Measures the bytes per second at which tensors are read, for at most two seconds. What the operating system has in memory is read faster than
 * from the disk. Throws SourceError, AbortedError.
 */
export async function measuredRate(
  index: TensorIndex,
  tensors: readonly IndexedTensor[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const into = new Uint8Array(CHUNK_BYTES);
  const begun = performance.now();
  let bytes = 0;
  for (const tensor of tensors) {
    const { lengthBytes } = tensor.entry;
    for (let at = 0; at < lengthBytes; at += CHUNK_BYTES) {
      const seconds = (performance.now() - begun) / 1000;
      if (bytes >= MEASURED_BYTES || seconds >= MEASURED_SECONDS) return bytes / seconds;
      bytes += (await index.read(tensor, at, Math.min(CHUNK_BYTES, lengthBytes - at), signal, into)).length;
    }
  }
  return (1000 * bytes) / (performance.now() - begun);
}
