import type { HostCache } from "../../layers/host-cache.js";
import type { LayerPlan } from "../../layers/layer-store.js";
import type { streamedTables } from "../../layers/streamed-tables.js";

/** Where the weights of a model are. */
export interface ModelPlan extends LayerPlan {
  /**
   * The vision tower, the embedding table and the head are read when they are needed too: what makes the tables then. A function, so that pages
   * whose models stay on the device do not load it.
   */
  readonly everything?: typeof streamedTables;
  /** What layers that stream keep in host memory, also over reloads. */
  readonly hostCache?: HostCache;
}
