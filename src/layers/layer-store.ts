import { unlessAborted } from "../base/abort.js";
import { PIECE_BYTES } from "../io/safetensors.js";
import type { Device } from "../runtime/device.js";
import { LayerSlot } from "./layer-slot.js";
import { UploadRing } from "./upload-ring.js";
import { type LayerUploads, UploadWindow } from "./upload-window.js";
import { StreamedWeights } from "./weight-requests.js";
import type { Weights } from "./weights.js";

/** Where the layers of a decoder are. */
export interface LayerPlan {
  /** Layers at the front that stay on the device. */
  readonly resident: number;
  /** Layers that the device has room for besides; the others pass through it. */
  readonly slots: number;
}

/** Staging memory of uploads: how far reading may be ahead of the adapter. */
const AHEAD_BYTES = 64 * 1024 * 1024;
/** The same of packed layers: the bytes of a staging buffer, and how many there are. */
const STAGING_BYTES = 4 * PIECE_BYTES;
const MOST_STAGED = 4;

/** A slot, the layers that pass through it, and the one whose weights it has. */
interface Place {
  readonly slot: LayerSlot;
  readonly layers: number[];
  layer: number | undefined;
  filling: { readonly layer: number; readonly done: Promise<void> } | undefined;
}

/**
 * The layers of a decoder, of which those that do not fit the device pass through a ring of slots: layer `resident + i` uses slot
 * `i mod slots`. The first ones stay, since a pass uses all layers in the same order, for which a cache of the latest layers would have none
 * when it is needed. As soon as the work of a layer is recorded, its slot is filled with the next layer, in the background.
 * @example
 * ```ts
 * const store = new LayerStore(weights, 28, (own, i) => new Layer(own.at(`layers.${i}`)), { resident: 10, slots: 2 });
 * await store.pass(async () => {
 *   for (const [i, layer] of store.layers.entries()) {
 *     await store.ready(i);
 *     x = layer.forward(x);
 *     store.used(i);
 *   }
 * });
 * ```
 */
export class LayerStore<Layer> {
  readonly layers: readonly Layer[];
  /** Layers at the front that stay on the device. */
  readonly resident: number;
  readonly device: Device;
  readonly #places: Place[];
  readonly #streamed = new Map<number, StreamedWeights>();
  readonly #weights: Weights;
  readonly #uploads: LayerUploads;
  readonly #closing = new AbortController();
  /** Ends with the latest read. */
  #reading: Promise<void> = Promise.resolve();
  /** Ends with the latest pass. */
  #passes: Promise<void> = Promise.resolve();

  /** All layers stay without a plan. Throws CheckpointError for streamed layers of different sizes. */
  constructor(weights: Weights, count: number, make: (weights: Weights, layer: number) => Layer, plan?: LayerPlan) {
    const { device } = weights;
    this.device = device;
    this.#weights = weights;
    this.#uploads = {
      ring: new UploadRing(device, STAGING_BYTES, MOST_STAGED),
      window: new UploadWindow(device, AHEAD_BYTES),
    };
    this.resident = plan ? Math.min(plan.resident, count) : count;
    // With a slot for each layer they would all stay.
    const slots = plan && this.resident < count ? Math.max(1, Math.min(plan.slots, count - this.resident - 1)) : 0;
    this.#places = Array.from({ length: slots }, (_, i) => ({
      slot: new LayerSlot(device, `slot ${i}`),
      layers: [],
      layer: undefined,
      filling: undefined,
    }));
    try {
      this.layers = Array.from({ length: count }, (_, layer) => make(this.#weightsOf(layer), layer));
    } catch (cause) {
      this.#free();
      throw cause;
    }
  }

  #weightsOf(layer: number): Weights {
    if (layer < this.resident) return this.#weights;
    const place = this.#placeOf(layer);
    const streamed = new StreamedWeights(place.slot);
    place.slot.rewind();
    place.layers.push(layer);
    this.#streamed.set(layer, streamed);
    return this.#weights.streamedAs(streamed);
  }

  /** Whether layers pass through the device, so that a pass has to wait for them. */
  get streams(): boolean {
    return this.#places.length > 0;
  }

  /** The memory of the ring. */
  get slots(): readonly LayerSlot[] {
    return this.#places.map(({ slot }) => slot);
  }

  /** Runs a pass over the layers alone: others wait for its end. Throws AbortedError. */
  async pass<T>(work: () => Promise<T>, signal: AbortSignal | undefined, where: string): Promise<T> {
    const before = this.#passes;
    let end = (): void => {};
    this.#passes = new Promise((resolve) => {
      end = resolve;
    });
    try {
      await unlessAborted(before, signal, where);
      return await work();
    } finally {
      void before.then(end);
    }
  }

  /**
   * Resolves when a layer's weights are written to the queue, before the commands that are recorded next. Throws CheckpointError, SourceError,
   * AbortedError after `close`.
   */
  async ready(layer: number): Promise<void> {
    if (layer < this.resident) return;
    const place = this.#placeOf(layer);
    while (place.layer !== layer) {
      if (!place.filling) this.#fill(place, layer);
      const { filling } = place;
      if (filling?.layer === layer) await filling.done;
      else await filling?.done.catch(() => {});
    }
  }

  /** Call when the work of a layer is recorded: its slot may be filled with the next layer. */
  used(layer: number): void {
    if (layer < this.resident) return;
    const place = this.#placeOf(layer);
    const next = place.layers[(place.layers.indexOf(layer) + 1) % place.layers.length]!;
    if (next !== layer && !place.filling) this.#fill(place, next);
  }

  /** Fills the slots with the first layers that pass through them. Throws like `ready`, and AbortedError. */
  async prepare(signal?: AbortSignal): Promise<void> {
    for (const { layers } of this.#places) await unlessAborted(this.ready(layers[0]!), signal, "loading");
    this.device.pool.trim(); // the pieces' memory
  }

  /** Frees the slots and ends reading. Resolves when nothing is read any more. */
  close(): Promise<void> {
    this.#closing.abort();
    this.#free();
    return this.#reading;
  }

  #free(): void {
    this.#uploads.ring.dispose();
    for (const { slot } of this.#places) slot.dispose();
  }

  #placeOf(layer: number): Place {
    return this.#places[(layer - this.resident) % this.#places.length]!;
  }

  #fill(place: Place, layer: number): void {
    place.layer = undefined;
    const read = async (): Promise<void> => {
      try {
        await this.#weights.loader.loadLayer(this.#streamed.get(layer)!, this.#uploads, this.#closing.signal);
        place.layer = layer;
      } finally {
        place.filling = undefined;
      }
    };
    const done = this.#reading.then(read);
    // The pass that waits for the layer gets the error; a later one reads it again.
    this.#reading = done.catch(() => {});
    place.filling = { layer, done };
  }
}
