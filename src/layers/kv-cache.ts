import type { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** Rows added at a time when a cache grows, so that it does not grow at every token. */
const STEP = 256;

/** Keys and values of every layer, `[capacity, K·C]` f32 each. Belongs to a Session. */
export class KVCache {
  readonly keys: Tensor[] = [];
  readonly values: Tensor[] = [];
  /** Positions filled. */
  length = 0;
  capacity = 0;
  #arena: Arena;

  constructor(
    readonly device: Device,
    readonly layers: number,
    /** K·C */
    readonly width: number,
  ) {
    this.#arena = device.arena("cache");
  }

  /** Makes room for `positions` in all; what is in the cache is kept. */
  reserve(positions: number): void {
    if (positions <= this.capacity) return;
    const capacity = Math.ceil(positions / STEP) * STEP;
    const old = { keys: this.keys.splice(0), values: this.values.splice(0), arena: this.#arena };
    this.#arena = this.device.arena("cache");
    this.#arena.run(() => {
      for (let layer = 0; layer < this.layers; layer++) {
        this.keys.push(this.#grown(old.keys[layer], capacity, `cache.keys.${layer}`));
        this.values.push(this.#grown(old.values[layer], capacity, `cache.values.${layer}`));
      }
    });
    old.arena.dispose();
    this.capacity = capacity;
  }

  /** Forgets everything from position `length` on. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
  }

  dispose(): void {
    this.#arena.dispose();
    this.keys.length = 0;
    this.values.length = 0;
    this.length = 0;
    this.capacity = 0;
  }

  #grown(old: Tensor | undefined, capacity: number, label: string): Tensor {
    const grown = this.device.empty([capacity, this.width], "f32", label);
    if (old && this.length > 0) this.device.copy(old, 0, grown, 0, this.length * this.width * 4);
    return grown;
  }
}
