import type { TensorIndex } from "../../io/checkpoint.js";
import type { ByteSource } from "../../io/source.js";
import { CHUNK_BYTES } from "../../layers/weights.js";
import type { LlavaOneVisionConfig } from "../llava-onevision/config.js";
import type { ModelPlan } from "../llava-onevision/model-plan.js";
import type { Footprint } from "./footprint.js";

/** What a decoder takes whose layers stream (`weights: "stream"`). All sizes are in bytes. */
export interface StreamingEstimate {
  /** The least `memoryBudget` that works: two layers of the decoder and of the vision tower, two blocks of the head, the caches and the activations. */
  readonly leastBytes: number;
  /** Memory of a layer on the adapter. */
  readonly layerBytes: number;
  /** Layers of the decoder. */
  readonly layers: number;
  /** Those of them that stay on the adapter within `memoryBudget`; 0 without one. */
  readonly residentLayers: number;
  /** Whether the vision tower, the embedding table and the head are read when they are needed too. */
  readonly everything: boolean;
  /** Bytes of the checkpoint that are read for a prompt, and for each step, which may be of several tokens (drafts) or sequences (batches). */
  readonly readBytes: number;
  /** How long that takes at `readBytesPerSecond`: the least seconds of a step, however fast the adapter is. */
  readonly readSeconds?: number;
}

/** Most bytes and seconds of a measurement. */
const MEASURED_BYTES = 256 * 1024 * 1024;
const MEASURED_SECONDS = 2;

/** What a model takes on the adapter without any layer that stays, and what passes through. */
export interface PlanSize extends Pick<Footprint, "layerBytes" | "slots" | "headBytes"> {
  readonly totalBytes: number;
}

/**
 * Returns that of the plans that uploads the fewest bytes for a pass within a budget, with as many layers that stay as there is room for: more
 * where the head does not. `sizeOf`: of a plan without layers that stay. Undefined if the budget is too small.
 */
export function planWithinBytes(
  budgetBytes: number,
  layers: number,
  plans: readonly ModelPlan[],
  sizeOf: (plan: ModelPlan) => PlanSize,
): ModelPlan | undefined {
  const fitting = plans.flatMap((plan) => {
    const { totalBytes, layerBytes, slots, headBytes } = sizeOf(plan);
    if (totalBytes > budgetBytes) return [];
    // All but those of the ring and one, if there is room.
    const resident = Math.min(Math.floor((budgetBytes - totalBytes) / layerBytes), layers - slots - 1);
    return { plan: { ...plan, resident }, bytes: (layers - resident) * layerBytes + headBytes };
  });
  return fitting.sort((a, b) => a.bytes - b.bytes)[0]?.plan;
}

/** Bytes of a file that a pass reads. */
export interface StreamedRange {
  readonly source: ByteSource;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * What is read of a decoder for a pass: its layers from the first that does not stay on, in their order, and the head where it streams. Tensors,
 * or the layers of a packed checkpoint as they are, which takes its own storage dtypes for granted.
 */
export function streamedRanges(
  index: TensorIndex,
  { layout, text }: LlavaOneVisionConfig,
  { resident, everything }: ModelPlan,
): StreamedRange[] {
  const packed = new Map(index.packed?.layers.map((layer) => [layer.name, layer]));
  const names = Array.from({ length: text.layers - resident }, (_, i) => `${layout.language}.layers.${resident + i}`);
  const head = layout.head ?? `${layout.language}.embed_tokens`;
  return [...names, ...(everything ? [head] : [])].flatMap((name): StreamedRange[] => {
    const whole = packed.get(name) ?? packed.get(`${name}.weight`);
    if (whole) return [whole];
    const tensors = [...index.entries].filter(([tensor]) => tensor.startsWith(`${name}.`));
    return tensors.map(([, { entry, source }]) => ({ ...entry, source }));
  });
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
