import type { Arena } from "../../runtime/arena.js";

/** Options of a pass over layers that are not all on one device. */
export interface PassOptions {
  /** Owns the result. */
  readonly owner: Arena;
  /** Names the pass in AbortedError. */
  readonly where: string;
  readonly signal?: AbortSignal | undefined;
  /** Throws if the model was disposed or the device has failed; called before each layer. */
  readonly check?: (() => void) | undefined;
  /** Runs what a layer records; −1 is what comes before the first layer, the number of layers L is the final norm, L + 1 the head. */
  readonly around?: ((work: () => void, layer: number) => void) | undefined;
  /** Called when a layer is recorded. */
  readonly onLayer?: ((done: number, layers: number) => void) | undefined;
}
