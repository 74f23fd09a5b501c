import type { CheckpointLocation, CheckpointOptions, TensorIndex } from "../../io/checkpoint.js";
import { Adapters } from "../../layers/low-rank.js";
import { type AdapterOption, adapterOptions, type LoadedAdapter, readAdapter } from "./adapter.js";
import { MergedTensors } from "./merged-tensors.js";
import type { Layout } from "./tensor-names.js";

export type { AdapterOption } from "./adapter.js";

/** One adapter, or several with names and weights. */
export type AdapterLocations = CheckpointLocation | AdapterOption | readonly (string | URL | AdapterOption)[];

/**
 * Opens the adapters of the option `adapter` and returns the tensors with what is merged into them, and the adapters that stay apart.
 * The result's `close` closes the checkpoint's files as well. Throws OptionError, CheckpointError, SourceError, AbortedError.
 */
export async function adaptedWeights(
  index: TensorIndex,
  layout: Layout,
  given: AdapterLocations,
  merge: boolean,
  options: CheckpointOptions,
): Promise<{ index: TensorIndex; adapters: Adapters }> {
  const loaded: LoadedAdapter[] = [];
  // The revision is the checkpoint's.
  const own = { ...options, revision: undefined };
  try {
    for (const option of adapterOptions(given)) loaded.push(await readAdapter(option, layout, merge, own));
  } catch (cause) {
    await Promise.all(loaded.map((adapter) => adapter.index.close()));
    throw cause;
  }
  const apart = loaded.map(({ lowRank }) => lowRank).filter(({ modules }) => modules.length > 0);
  return { index: new MergedTensors(index, loaded), adapters: new Adapters(apart) };
}
