import type { CacheType } from "../../kernels/kv-format.js";
import type { KVPool } from "../../layers/kv-pool.js";
import type { Device } from "../../runtime/device.js";
import type { LlavaOneVisionConfig } from "../llava-onevision/config.js";
import type { Network } from "../llava-onevision/network.js";
import type { Processor } from "../llava-onevision/processor.js";
import type { VisionCache } from "../llava-onevision/vision-cache.js";
import type { Batching } from "./batching.js";
import type { PrefixCache } from "./prefix-cache.js";
import type { Recoverable, Recovery } from "./recovery.js";

/** A network on a device, and the visual tokens cached there. Replaced by another when the model is reloaded. */
export interface DeviceParts {
  readonly device: Device;
  readonly network: Network;
  readonly visionCache: VisionCache;
  /** Keys and values of all sessions. */
  readonly kvPool: KVPool;
  /** Prefixes whose blocks sessions share. */
  readonly prefixCache: PrefixCache;
  /** What sequences share their steps through. */
  readonly batching: Batching;
  /** Names of the adapters that sessions can select. */
  readonly adapters: readonly string[];
}

/** A session as its model sees it. */
export interface OwnedSession extends Disposable {
  /** Frees the KV cache, unless an answer uses it; the next use computes it again. */
  releaseIdle(): void;
}

/** What sessions and embeddings need of a loaded model. The parts on the device are the current ones. */
export interface ModelInternals extends DeviceParts, Recoverable {
  readonly config: LlavaOneVisionConfig;
  readonly processor: Processor;
  /** Storage dtype of the KV caches. */
  readonly cacheType: CacheType;
  /** Sessions that are not disposed; the vision cache is cleared with the last one. */
  readonly sessions: Set<OwnedSession>;
  /** Repeats work after the loss of the device, or where its memory ran out. */
  readonly recovery: Recovery;
  /** The load of a reload that is in progress, which `dispose` ends soon. */
  readonly reloading: Promise<void> | undefined;
}
