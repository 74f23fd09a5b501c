import { type CacheType, paddedRow } from "../kernels/cached.js";
import type { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** Capacities are multiples of this, so that a cache does not grow at every token. */
const STEP = 256;

/** Keys and values of every layer, `[capacity, K·C]` each, padded rows where the type needs them. Belongs to a Session. */
export class KVCache {
  readonly keys: Tensor[] = [];
  readonly values: Tensor[] = [];
  /** Positions filled. */
  length = 0;
  capacity = 0;
  readonly #arena: Arena;

  constructor(
    readonly device: Device,
    readonly layers: number,
    /** K·C */
    readonly width: number,
    readonly type: CacheType = "f32",
    /** Positions that will be asked for at most. */
    readonly most = Number.POSITIVE_INFINITY,
  ) {
    this.#arena = device.arena("cache");
  }

  /**
   * Makes room for `positions` in all; what is in the cache is kept. A cache that is in use grows by half at least, so that
   * long answers seldom copy it. Throws LimitError where that does not fit; the cache is then as it was.
   */
  reserve(positions: number): void {
    if (positions <= this.capacity) return;
    const row = paddedRow(this.width, this.type);
    const needed = Math.ceil(positions / STEP) * STEP;
    const generous = Math.ceil((this.capacity * 1.5) / STEP) * STEP;
    const fitting = Math.floor(this.device.facts.maxBindingBytes / (row * 4));
    const capacity = Math.max(needed, Math.min(generous, fitting, Math.ceil(this.most / STEP) * STEP));
    // One tensor after the other: a fault on the way leaves some with more room than the cache makes use of.
    for (let layer = 0; layer < this.layers; layer++) {
      for (const [name, tensors] of [
        ["keys", this.keys],
        ["values", this.values],
      ] as const) {
        const old = tensors[layer];
        if (old && old.size(0) >= capacity) continue;
        const grown = this.#arena.run(() => this.device.empty([capacity, row], this.type, `cache.${name}.${layer}`));
        if (old) this.#move(old, grown);
        tensors[layer] = grown;
      }
    }
    this.capacity = capacity;
  }

  /** Forgets everything from position `length` on. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
  }

  dispose(): void {
    for (const tensor of [...this.keys, ...this.values]) tensor.dispose();
    this.keys.length = 0;
    this.values.length = 0;
    this.length = 0;
    this.capacity = 0;
  }

  /** Copies the filled rows; of bytes the scales too, which stand behind all rows. */
  #move(old: Tensor, grown: Tensor): void {
    const { device } = this;
    const row = old.size(1);
    const bytes = row * { f32: 4, f16: 2, q8: 1 }[this.type];
    if (this.length > 0) {
      device.copy(old, 0, grown, 0, this.length * bytes);
      if (this.type === "q8") device.copy(old, old.length, grown, grown.length, (this.length * row) / 16);
    }
    old.dispose();
  }
}
