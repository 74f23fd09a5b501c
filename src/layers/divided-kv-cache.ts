import type { CacheType } from "../kernels/kv-format.js";
import type { Device } from "../runtime/device.js";
import { KVCache } from "./kv-cache.js";

/** Layers of a decoder that are on one device. */
export interface LayersOnDevice {
  readonly device: Device;
  readonly layers: number;
}

/**
 * The KV cache of a sequence whose layers are on several devices: itself that of the first device's layers, with a cache for each of the
 * others. Layers are counted from the first of their device.
 * @example
 * ```ts
 * const cache = new DividedKVCache([{ device, layers: 12 }, { device: other, layers: 12 }], 128, "f16");
 * cache.reserve(1024);
 * const { keys } = cache.parts[1]!; // of layers 12 to 23
 * ```
 */
export class DividedKVCache extends KVCache {
  /** The cache of each device's layers; the first is this one. */
  readonly parts: readonly KVCache[];
  readonly #on: readonly LayersOnDevice[];

  constructor(on: readonly LayersOnDevice[], width: number, type?: CacheType, most?: number) {
    const [first, ...others] = on;
    super(first!.device, first!.layers, width, type, most);
    this.#on = on;
    this.parts = [this, ...others.map(({ device, layers }) => new KVCache(device, layers, width, type, most))];
  }

  get #others(): readonly KVCache[] {
    return this.parts.slice(1);
  }

  override reserve(positions: number, begins = false): void {
    super.reserve(positions, begins);
    for (const part of this.#others) {
      // What is kept when it grows.
      part.length = this.length;
      part.reserve(positions);
    }
  }

  override shrink(capacity: number, poolRows?: number): void {
    super.shrink(capacity, poolRows);
    for (const part of this.#others) {
      part.length = this.length;
      part.shrink(capacity, poolRows);
    }
  }

  override hold(): () => void {
    const releases = [super.hold(), ...this.#others.map((part) => part.hold())];
    return () => {
      for (const release of releases) release();
    };
  }

  /** Returns an empty cache, whose rows have to be computed again: rows are not copied. */
  override clone(): DividedKVCache {
    const other = new DividedKVCache(this.#on, this.width, this.type, this.most);
    other.adapters = this.adapters;
    return other;
  }

  override dispose(): void {
    super.dispose();
    for (const part of this.#others) part.dispose();
  }
}

/** The cache of a sequence for the layers of a device, by its number. */
export function partOf(cache: KVCache, device: number): KVCache {
  return cache instanceof DividedKVCache ? cache.parts[device]! : cache;
}
