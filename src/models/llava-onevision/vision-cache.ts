import { Arena } from "../../runtime/arena.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";

interface Entry {
  readonly tensor: Tensor;
  /** Passes that read it. */
  users: number;
}

/** Visual tokens of pictures seen before, by the hash of their tiles; those used longest ago go first. Belongs to a Model. */
export class VisionCache {
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #arena: Arena;
  #bytes = 0;

  constructor(
    device: Device,
    /** Bytes of visual tokens that are kept at most; 0 keeps none. */
    readonly mostBytes: number,
  ) {
    this.#arena = new Arena(device, "vision cache");
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The visual tokens of a key, which stay until `release`; undefined if they are not known. */
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

  /** Takes visual tokens over from their owner, if they fit and are not known yet. */
  keep(key: string, tensor: Tensor): void {
    if (tensor.sizeBytes > this.mostBytes || this.#entries.has(key)) return;
    this.#arena.adopt(tensor);
    this.#entries.set(key, { tensor, users: 0 });
    this.#bytes += tensor.sizeBytes;
    this.#evict();
  }

  /** Forgets everything that nobody reads. */
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
