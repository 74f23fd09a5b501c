import { BLOCK_ROWS, type BlockTable } from "../kernels/kv-blocks.js";
import type { CacheType } from "../kernels/kv-format.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { type BlockUser, KVPool } from "./kv-pool.js";

/** Block tables on the device have room for a multiple of this many blocks. */
const TABLE_STEP = 64;

/**
 * Keys and values of a sequence in every layer: a list of blocks of a pool, which sequences of one model share. Owned by a Session.
 * @example
 * ```ts
 * const cache = new KVCache(device, 24, 2 * 64, "f16"); // layers, key/value heads × head size
 * cache.reserve(1024);
 * cache.dispose();
 * ```
 */
export class KVCache implements BlockUser {
  /** Positions filled. */
  length = 0;
  /** Names of the adapters that its keys and values are computed with; undefined for all. */
  adapters: readonly string[] | undefined;
  /** Called with the queries `[T, H·C]` of a layer before they attend to this cache; set by `at` only. */
  watcher: ((layer: number, q: Tensor) => void) | undefined;
  readonly #blocks: number[] = [];
  #table: Tensor | undefined;
  #tableIsOld = true;
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
    /** Has the rows of all sequences that share steps; one of its own if not given. */
    readonly pool = new KVPool(device, layers, width, type),
  ) {}

  /** Keys of every layer, `[rows, K·C]`: all blocks of the pool. */
  get keys(): readonly Tensor[] {
    return this.pool.keys;
  }

  /** Values of every layer, like the keys. */
  get values(): readonly Tensor[] {
    return this.pool.values;
  }

  /** Positions that there is memory for. */
  get capacity(): number {
    return this.#blocks.length * BLOCK_ROWS;
  }

  /** Blocks of positions 0 to 63, 64 to 127, and so on. */
  get blocks(): readonly number[] {
    return this.#blocks;
  }

  /** The blocks on the device. */
  get table(): BlockTable {
    const { device, pool } = this;
    const blocks = this.#blocks;
    if (!this.#table || this.#table.length < blocks.length) {
      const room = Math.ceil(blocks.length / TABLE_STEP) * TABLE_STEP;
      const table = pool.run(() => device.empty([room], "u32", "block table"));
      this.#table?.dispose();
      this.#table = table;
      this.#tableIsOld = true;
    }
    if (this.#tableIsOld) device.write(this.#table, Uint32Array.from(blocks));
    this.#tableIsOld = false;
    return { tensor: this.#table, of: "one" };
  }

  /**
   * Grows the capacity to at least `positions`, preserving the content, and makes the rows from `length` on the cache's own: a block that it
   * shares is copied. Throws LimitError if that does not fit; the content is then unchanged. `begins`: whether an answer begins, which waits
   * for those that came before.
   */
  reserve(positions: number, begins = false): void {
    this.#later = undefined;
    const blocks = this.#blocks;
    for (let at = Math.floor(this.length / BLOCK_ROWS); at < blocks.length; at++) {
      const shared = blocks[at]!;
      if (!this.pool.isShared(shared)) continue;
      const own = this.#take(1, begins)[0]!;
      if (at * BLOCK_ROWS < this.length) this.pool.copy(blocks[at]!, own);
      const [released] = blocks.splice(at, 1, own);
      this.#tableIsOld = true;
      this.pool.release([released!]);
    }
    const more = Math.ceil(positions / BLOCK_ROWS) - blocks.length;
    if (more > 0 || begins) blocks.push(...this.#take(Math.max(0, more), begins));
  }

  /** Takes blocks of the pool. */
  #take(count: number, begins = false): number[] {
    const taken = this.pool.take(count, this, this.#blocks.length, this.most, begins);
    this.#tableIsOld = true;
    return taken;
  }

  /** Frees the memory beyond `capacity` positions, whose content is discarded, and that of free blocks of the pool beyond `poolRows`. */
  shrink(capacity: number, poolRows = 0): void {
    this.truncate(capacity);
    if (this.#holders > 0) {
      this.#later = () => this.shrink(capacity, poolRows);
      return;
    }
    if (capacity === 0) this.dispose();
    else this.pool.release(this.#blocks.splice(Math.ceil(capacity / BLOCK_ROWS)));
    this.pool.trim(poolRows);
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

  /** Returns a copy, which shares the blocks that are filled. Throws LimitError if the rest does not fit. */
  clone(): KVCache {
    this.device.check();
    const other = new KVCache(this.device, this.layers, this.width, this.type, this.most, this.pool);
    other.adapters = this.adapters;
    other.restart(this.#blocks.slice(0, Math.floor(this.length / BLOCK_ROWS)));
    if (other.length === this.length) return other;
    try {
      const [own] = other.#take(1);
      this.pool.copy(this.#blocks[other.#blocks.length]!, own!);
      other.#blocks.push(own!);
    } catch (cause) {
      other.dispose();
      throw cause;
    }
    other.length = this.length;
    return other;
  }

  /** Replaces the content by filled blocks of the pool, which it shares. */
  restart(blocks: readonly number[]): void {
    this.pool.share(blocks, this);
    const before = this.#blocks.splice(0, this.#blocks.length, ...blocks);
    this.#tableIsOld = true;
    this.length = this.capacity;
    this.pool.release(before);
  }

  /**
   * Runs `work` as if the cache had `position` rows, and calls `watcher` with each layer's queries once their keys are written; the
   * row that `work` overwrites, of all layers or of `layer`, is restored afterwards. Synchronous.
   */
  at(position: number, watcher: NonNullable<KVCache["watcher"]>, work: () => void, layer?: number): void {
    const { device, length, pool } = this;
    const own = <T>(all: readonly T[]): readonly T[] => (layer === undefined ? all : all.slice(layer, layer + 1));
    const row = this.#blocks[Math.floor(position / BLOCK_ROWS)]! * BLOCK_ROWS + (position % BLOCK_ROWS);
    device.scope(() => {
      const saved = [...own(this.keys), ...own(this.values)].flatMap((tensor) =>
        pool.rangesOf(tensor, row, 1).map(({ firstByte, bytes }) => {
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

  /** Discards the positions from `length` on. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
  }

  /** Moves to the blocks' new places, for the pool. */
  moved(places: ReadonlyMap<number, number>): void {
    for (const [i, block] of this.#blocks.entries()) this.#blocks[i] = places.get(block) ?? block;
    this.#tableIsOld = true;
  }

  /** Gives back the blocks beyond `length` that it shares, which it would copy to write there. */
  releaseShared(): void {
    const first = Math.ceil(this.length / BLOCK_ROWS);
    const beyond = this.#blocks.splice(first);
    this.#blocks.push(...beyond.filter((block) => !this.pool.isShared(block)));
    this.#tableIsOld = true;
    this.pool.release(beyond.filter((block) => this.pool.isShared(block)));
  }

  /** Has no rows any more, for the pool. */
  lost(): void {
    this.length = 0;
  }

  dispose(): void {
    this.length = 0;
    if (this.#holders > 0) {
      this.#later = () => this.dispose();
      return;
    }
    this.#table?.dispose();
    this.#table = undefined;
    this.#tableIsOld = true;
    this.pool.leave(this);
    this.pool.release(this.#blocks.splice(0));
  }
}
