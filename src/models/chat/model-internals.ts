import type { CacheType } from "../../kernels/kv-format.js";
import type { Device } from "../../runtime/device.js";
import type { LlavaOneVisionConfig } from "../llava-onevision/config.js";
import type { Network } from "../llava-onevision/network.js";
import type { Processor } from "../llava-onevision/processor.js";
import type { VisionCache } from "../llava-onevision/vision-cache.js";

/** What sessions and embeddings need of a loaded model. */
export interface ModelInternals {
  readonly device: Device;
  readonly config: LlavaOneVisionConfig;
  readonly processor: Processor;
  readonly network: Network;
  readonly visionCache: VisionCache;
  /** Storage dtype of the KV caches. */
  readonly cacheType: CacheType;
  /** Names of the adapters that sessions can select. */
  readonly adapters: readonly string[];
  /** Sessions that are not disposed; the vision cache is cleared with the last one. */
  readonly sessions: Set<Disposable>;
  /** Throws DisposedError after the model's `dispose`. */
  check(): void;
}
