import { OptionError } from "../base/errors.js";
import { PackedMatrix } from "../kernels/packed.js";
import type { LowRankAdapter } from "../layers/low-rank.js";
import { loraWeights } from "../training/lora.js";
import { type TrainedPart, type TrainedWeight, weightsOf } from "../training/parameters.js";
import type { Network } from "./llava-onevision/network.js";
import type { Layout } from "./llava-onevision/tensor-names.js";

/** The weights that are trained: those of the adapter, and of parts of the model. Throws OptionError for matrices that are not f32. */
export function trainedWeights(
  network: Network,
  layout: Layout,
  targets: ReadonlySet<"lora" | TrainedPart>,
  adapter: string,
): TrainedWeight[] {
  const weights = weightsOf(network, layout, partsOf(targets));
  const narrow = weights.find(({ parameter }) => parameter instanceof PackedMatrix && parameter.type !== "f32");
  if (narrow) {
    throw new OptionError({
      where: `model.train: ${narrow.parameter.label}`,
      expected: "f32, since it is trained",
      got: (narrow.parameter as PackedMatrix).type,
      remedy:
        'load the model with dtype "f32", or by part, for example { projector: "f32" }; "lora" trains over any dtype',
    });
  }
  return [...(targets.has("lora") ? loraWeights(network.language, adapter) : []), ...weights];
}

/** The whole parts among what is trained. */
export function partsOf(targets: ReadonlySet<"lora" | TrainedPart>): ReadonlySet<TrainedPart> {
  return new Set([...targets].filter((target) => target !== "lora"));
}

/**
 * What is trained where a loaded adapter is trained further: the projector too if the adapter brings it whole (`modules_to_save`), as PEFT does.
 * Throws OptionError for an adapter that changes other weights than those of the decoder's layers, which a new file of it would lack.
 */
export function continuedTargets(
  { name, merged }: Pick<LowRankAdapter, "name" | "merged">,
  { projector }: Pick<Layout, "projector">,
  targets: ReadonlySet<"lora" | TrainedPart>,
): ReadonlySet<"lora" | TrainedPart> {
  const isProjector = (tensor: string): boolean => projector.some((layer) => tensor.startsWith(`${layer}.`));
  const other = merged.modules[0] ?? merged.replaced.find((tensor) => !isProjector(tensor));
  if (other !== undefined) {
    throw new OptionError({
      where: `model.train, adapter ${name}`,
      expected: "an adapter of the decoder's layers, with the projector at most",
      got: `one that changes ${other}`,
      remedy: "merge it when loading (`mergeAdapters`, --merge), and train a new adapter",
    });
  }
  return merged.replaced.length > 0 ? new Set([...targets, "projector" as const]) : targets;
}
