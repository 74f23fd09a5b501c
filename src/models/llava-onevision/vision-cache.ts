import { Arena } from "../../runtime/arena.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";

interface Entry {
  readonly tensor: Tensor;
  /** Number of passes that use it; entries in use are not evicted. */
  users: number;
}

/** Size of the cache if `visionCacheBytes` is not given. */
export const VISION_CACHE_BYTES = 256 * 1024 * 1024;

/** LRU cache of visual tokens, by the hash of tiles and plan. Owned by a Model. */
export class VisionCache {
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #arena: Arena;
  #bytes = 0;

  constructor(
    device: Device,
    /** Maximum size in bytes; 0 disables the cache. */
    readonly mostBytes: number,
  ) {
    this.#arena = new Arena(device, "vision cache");
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the visual tokens of a key and pins them until `release`; undefined if not cached. */
  take(key: string): Tensor | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    entry.users++;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.tensor;
  }

  release(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) entry.users--;
    this.#evict();
  }

  /** Takes ownership of visual tokens, if they fit and are not cached yet. */
  keep(key: string, tensor: Tensor): void {
    if (tensor.sizeBytes > this.mostBytes || this.#entries.has(key)) return;
    this.#arena.adopt(tensor);
    this.#entries.set(key, { tensor, users: 0 });
    this.#bytes += tensor.sizeBytes;
    this.#evict();
  }

  /** Evicts all entries that are not in use. */
  clear(): void {
    this.#evict(0);
  }

  dispose(): void {
    this.#entries.clear();
    this.#bytes = 0;
    this.#arena.dispose();
  }

  #evict(most = this.mostBytes): void {
    for (const [key, { tensor, users }] of this.#entries) {
      if (this.#bytes <= most) return;
      if (users > 0) continue;
      this.#entries.delete(key);
      this.#bytes -= tensor.sizeBytes;
      tensor.dispose();
    }
  }
}
