import { type CacheType, paddedRow } from "../kernels/kv-format.js";
import type { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** Capacities are multiples of this, so that a cache does not grow at every token. */
const STEP = 256;

/** Bytes per element, without the scales of q8. */
const BYTES: Record<CacheType, number> = { f32: 4, f16: 2, q8: 1 };

/**
 * Keys and values of every layer, `[capacity, K·C]` each, rows padded where the type requires it. Owned by a Session.
 * @example
 * ```ts
 * const cache = new KVCache(device, 24, 2 * 64, "f16"); // layers, key/value heads × head size
 * cache.reserve(1024);
 * cache.dispose();
 * ```
 */
export class KVCache {
  readonly keys: Tensor[] = [];
  readonly values: Tensor[] = [];
  /** Positions filled. */
  length = 0;
  capacity = 0;
  /** Names of the adapters that its keys and values are computed with; undefined for all. */
  adapters: readonly string[] | undefined;
  /** Called with the queries `[T, H·C]` of a layer before they attend to this cache; set by `at` only. */
  watcher: ((layer: number, q: Tensor) => void) | undefined;
  readonly #arena: Arena;
  /** Passes that record work on it between waits. */
  #holders = 0;
  /** What was asked for meanwhile. */
  #later: (() => void) | undefined;

  constructor(
    readonly device: Device,
    readonly layers: number,
    /** K·C */
    readonly width: number,
    readonly type: CacheType = "f32",
    /** Maximum number of positions that are reserved. */
    readonly most = Number.POSITIVE_INFINITY,
  ) {
    this.#arena = device.arena("cache");
  }

  /**
   * Grows the capacity to at least `positions`, preserving the content. A cache in use grows by at least half, so that long answers
   * copy it seldom. Throws LimitError if that does not fit; the cache is then unchanged.
   */
  reserve(positions: number): void {
    this.#later = undefined;
    if (positions <= this.capacity) return;
    const row = paddedRow(this.width, this.type);
    const needed = Math.ceil(positions / STEP) * STEP;
    const generous = Math.ceil((this.capacity * 1.5) / STEP) * STEP;
    const fitting = Math.floor(this.device.facts.maxBindingBytes / (row * 4));
    this.#resize(Math.max(needed, Math.min(generous, fitting, Math.ceil(this.most / STEP) * STEP)));
  }

  /** Frees the memory beyond `capacity` positions; their content is discarded. */
  shrink(capacity: number): void {
    if (capacity >= this.capacity) return;
    this.truncate(capacity);
    if (this.#holders > 0) {
      this.#later = () => this.shrink(capacity);
      return;
    }
    if (capacity === 0) this.dispose();
    else this.#resize(capacity);
  }

  /**
   * Keeps the memory until the function that it returns is called, for a pass that waits between layers: `shrink` and `dispose` discard rows
   * at once, and free memory then.
   * @internal
   */
  hold(): () => void {
    this.#holders++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const later = this.#later;
      if (--this.#holders > 0 || !later) return;
      this.#later = undefined;
      later();
    };
  }

  /** Returns a copy. Throws LimitError if it does not fit. */
  clone(): KVCache {
    const other = new KVCache(this.device, this.layers, this.width, this.type, this.most);
    other.adapters = this.adapters;
    if (this.capacity === 0) return other;
    try {
      other.#resize(this.capacity);
    } catch (cause) {
      other.dispose();
      throw cause;
    }
    for (const name of ["keys", "values"] as const) {
      for (const [layer, tensor] of this[name].entries()) this.#copy(tensor, other[name][layer]!);
    }
    other.length = this.length;
    return other;
  }

  /**
   * Runs `work` as if the cache had `position` rows, and calls `watcher` with each layer's queries once their keys are written; the
   * row that `work` overwrites, of all layers or of `layer`, is restored afterwards. Synchronous.
   */
  at(position: number, watcher: NonNullable<KVCache["watcher"]>, work: () => void, layer?: number): void {
    const { device, length } = this;
    const own = <T>(all: readonly T[]): readonly T[] => (layer === undefined ? all : all.slice(layer, layer + 1));
    device.scope(() => {
      const saved = [...own(this.keys), ...own(this.values)].flatMap((tensor) =>
        this.#rowsOf(tensor, position).map(({ firstByte, bytes }) => {
          const copy = device.empty([bytes / 4], "u32", `${tensor.label} row`);
          device.copy(tensor, firstByte, copy, 0, bytes);
          return { tensor, firstByte, bytes, copy };
        }),
      );
      this.length = position;
      this.watcher = watcher;
      try {
        work();
      } finally {
        this.watcher = undefined;
        this.length = length;
        for (const { tensor, firstByte, bytes, copy } of saved) device.copy(copy, 0, tensor, firstByte, bytes);
      }
    });
  }

  /** The byte ranges of a row; in q8 also of its scales, which follow all rows. */
  #rowsOf(tensor: Tensor, row: number): { firstByte: number; bytes: number }[] {
    const width = tensor.size(1);
    const bytes = width * BYTES[this.type];
    const rows = [{ firstByte: row * bytes, bytes }];
    if (this.type === "q8") rows.push({ firstByte: tensor.length + (row * width) / 16, bytes: width / 16 });
    return rows;
  }

  /** Discards the positions from `length` on. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
  }

  dispose(): void {
    if (this.#holders > 0) {
      this.length = 0;
      this.#later = () => this.dispose();
      return;
    }
    for (const tensor of [...this.keys, ...this.values]) tensor.dispose();
    this.keys.length = 0;
    this.values.length = 0;
    this.length = 0;
    this.capacity = 0;
  }

  /** Resizes one tensor at a time: after an error some have more capacity than the cache uses. */
  #resize(capacity: number): void {
    const row = paddedRow(this.width, this.type);
    const shrinks = capacity < this.capacity;
    if (shrinks) this.capacity = capacity;
    for (let layer = 0; layer < this.layers; layer++) {
      for (const [name, tensors] of [
        ["keys", this.keys],
        ["values", this.values],
      ] as const) {
        const old = tensors[layer];
        if (old && old.size(0) >= capacity && !shrinks) continue;
        const other = this.#arena.run(() => this.device.empty([capacity, row], this.type, `cache.${name}.${layer}`));
        if (old) {
          this.#copy(old, other);
          old.dispose();
        }
        tensors[layer] = other;
      }
    }
    this.capacity = capacity;
  }

  /** Copies the filled rows; in q8 also their scales, which follow all rows. */
  #copy(from: Tensor, to: Tensor): void {
    if (this.length === 0) return;
    const row = from.size(1);
    const bytes = row * BYTES[this.type];
    this.device.copy(from, 0, to, 0, this.length * bytes);
    if (this.type === "q8") this.device.copy(from, from.length, to, to.length, (this.length * row) / 16);
  }
}
