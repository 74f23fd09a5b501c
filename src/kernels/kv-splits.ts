import type { AdapterFacts } from "../runtime/adapter.js";
import { tuned } from "../runtime/tuning.js";
import { KV_SPLIT_KEYS, keysClass } from "./tunables.js";

/** Keys that a workgroup of `attentionStep` takes at once: KV splits are multiples of it. */
export const STEP_LANES = 64;

/** The maximum number of KV splits. */
export const MOST_SPLITS = 64;

/** Keys per KV split, and the number of splits that have any. */
export interface KVSplits {
  readonly splitKeys: number;
  readonly count: number;
}

/** Returns the KV splits of one query (flash-decoding): at most `most`, if not given as many as suit the adapter. */
export function splitsFor(keys: number, facts: AdapterFacts, most = mostFor(keys, facts)): KVSplits {
  const splitKeys = Math.ceil(keys / STEP_LANES / most) * STEP_LANES;
  return { splitKeys, count: Math.ceil(keys / splitKeys) };
}

function mostFor(keys: number, facts: AdapterFacts): number {
  // One workgroup per head leaves most of a GPU idle; a CPU adapter's few cores are busy with the heads alone.
  return facts.onCPU ? 1 : Math.min(MOST_SPLITS, Math.ceil(keys / tuned(facts.tuning, KV_SPLIT_KEYS, keysClass(keys))));
}
