import { LimitError } from "../base/errors.js";
import { BLOCK_ROWS } from "../kernels/kv-blocks.js";
import { type CacheType, paddedRow } from "../kernels/kv-format.js";
import type { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import { sizeInBytes } from "../runtime/dtype.js";
import type { Tensor } from "../runtime/tensor.js";

/** Memory is a multiple of this many rows, so that a pool does not grow at every block. */
const STEP = 256;

/** Bytes per element, without the scales of q8. */
const BYTES: Record<CacheType, number> = { f32: 4, f16: 2, q8: 1 };

/** Whoever has blocks of a pool. */
export interface BlockUser {
  /** Blocks have moved: each to its place in the list, if it has one there. */
  moved(places: ReadonlyMap<number, number>): void;
  /** The rows of all blocks are lost. */
  lost(): void;
}

/** Rows that did not fit. */
interface Refusal {
  readonly user: BlockUser;
  /** Whether others had some. */
  readonly others: boolean;
  /** Whether its sequence was about to begin. */
  readonly begins: boolean;
}

/** A byte range of a tensor of keys or values. */
interface ByteRange {
  readonly firstByte: number;
  readonly bytes: number;
}

/**
 * Keys and values of the sequences of a model in blocks of 64 rows, as in PagedAttention (arXiv 2309.06180): in each layer a tensor of keys and
 * one of values, `[rows, K·C]`, rows padded where the type requires it. Sequences have lists of blocks, the same in every layer; a block may
 * be in several lists. The tensors are as long as all blocks need: they grow by half, and shrink when half of them is free.
 */
export class KVPool {
  /** Of every layer. */
  readonly keys: Tensor[] = [];
  readonly values: Tensor[] = [];
  /** Called where rows do not fit: releases blocks that can be computed again. */
  reclaim: (() => void) | undefined;
  /** Lists that have a block, by block. */
  readonly #users: number[] = [];
  /** Blocks that some list has. */
  #used = 0;
  readonly #lists = new Set<BlockUser>();
  /** Whom the errors that said that rows do not fit refused them. */
  readonly #refusals = new WeakMap<object, Refusal>();
  /** Users that wait for room or try again, those that came first before the others. */
  readonly #line: BlockUser[] = [];
  /** Those in the line that wait. */
  readonly #waiting = new Map<BlockUser, () => void>();
  /** How often a sequence gave its rows up because they did not fit beside those of others. */
  preemptions = 0;
  #losses = 0;
  #lossCause: Error | undefined;
  readonly #arena: Arena;

  constructor(
    readonly device: Device,
    readonly layers: number,
    /** K·C */
    readonly width: number,
    readonly type: CacheType = "f32",
    /** Rows that sequences have together at most, within a memory budget; one of them alone may have more. */
    readonly mostRows = Number.POSITIVE_INFINITY,
  ) {
    this.#arena = device.arena("cache");
  }

  /** Rows that there is memory for. */
  get rows(): number {
    return this.#users.length * BLOCK_ROWS;
  }

  /** Bytes of a block in all layers. */
  get blockBytes(): number {
    const { layers, width, type } = this;
    return 2 * layers * BLOCK_ROWS * sizeInBytes([paddedRow(width, type)], type);
  }

  /** Blocks that are in use. */
  get usedBlocks(): number {
    return this.#used;
  }

  /** Blocks that several lists have. */
  get sharedBlocks(): number {
    return this.#users.filter((users) => users > 1).length;
  }

  /** Runs `make` with the pool as the owner of its allocations. */
  run<T>(make: () => T): T {
    return this.#arena.run(make);
  }

  /**
   * Returns `count` free blocks for a list of `user`, which has `own` already and gets `most` rows in all. Throws LimitError if they do not fit,
   * or not beside those of others: then nothing is taken. `begins`: a sequence that begins waits for those that were refused before it.
   */
  take(count: number, user: BlockUser, own = 0, most = Number.POSITIVE_INFINITY, begins = false): number[] {
    if (begins && (this.#line[0] ?? user) !== user) throw this.#refused(this.#behind(), { user, others: true, begins });
    const others = this.#used - own;
    const rows = (this.#used + count) * BLOCK_ROWS;
    const isOver = others > 0 && rows > this.mostRows;
    if (isOver || rows > this.rows) {
      try {
        if (isOver) throw this.#overBudget(rows);
        this.#grow(rows, others * BLOCK_ROWS + most);
      } catch (cause) {
        const used = this.#used;
        if (cause instanceof LimitError) this.reclaim?.();
        if (this.#used < used) return this.take(count, user, own, most, begins);
        throw this.#refused(cause, { user, others: others > 0, begins });
      }
    }
    if (begins) this.#leaveLine(user);
    const taken: number[] = [];
    for (let block = 0; taken.length < count; block++) {
      if (this.#users[block] !== 0) continue;
      this.#users[block] = 1;
      taken.push(block);
    }
    this.#used += count;
    this.#lists.add(user);
    return taken;
  }

  /** Whether `cause` says that rows do not fit, and may fit later. */
  isFull(cause: unknown): boolean {
    return typeof cause === "object" && cause !== null && this.#refusals.has(cause);
  }

  /**
   * After an error that said that rows do not fit, when the caller has given up its own: resolves when it is the first of those that wait, and
   * others have released some, or may do so when asked. It has its place in the line until it has begun, or calls `forgo`. Undefined for other
   * errors, and if nobody else has any.
   */
  room(cause: unknown): Promise<void> | undefined {
    if (!this.isFull(cause)) return undefined;
    const { user, others, begins } = this.#refusals.get(cause as object)!;
    const used = this.#used;
    // Its own blocks may have been kept for later.
    this.reclaim?.();
    if (this.#used === 0 && !others) {
      this.#leaveLine(user);
      return undefined;
    }
    this.preemptions++;
    if (!this.#line.includes(user)) {
      // One that had begun came before those that have not.
      if (begins) this.#line.push(user);
      else this.#line.unshift(user);
    }
    const waits = new Promise<void>((resolve) => this.#waiting.set(user, resolve));
    // Others may have released all since.
    if (this.#used === 0 || this.#used < used) this.wake();
    return waits;
  }

  /** Gives up the place in the line of whom the error refused rows, if it has not begun. */
  forgo(cause: unknown): void {
    if (this.isFull(cause)) this.#leaveLine(this.#refusals.get(cause as object)!.user);
  }

  /** Resolves what has waited longest for room. */
  wake(): void {
    const [first] = this.#line;
    if (!first) return;
    const resolve = this.#waiting.get(first);
    this.#waiting.delete(first);
    resolve?.();
  }

  /** Notes whom an error refuses rows. */
  #refused(cause: unknown, refusal: Refusal): unknown {
    if (typeof cause === "object" && cause !== null) this.#refusals.set(cause, refusal);
    return cause;
  }

  #leaveLine(user: BlockUser): void {
    const at = this.#line.indexOf(user);
    if (at < 0) return;
    this.#line.splice(at, 1);
    this.#waiting.delete(user);
    // There may be room for the next one as well.
    this.wake();
  }

  /** Adds blocks that are in use to a list of `user`. */
  share(blocks: readonly number[], user: BlockUser): void {
    for (const block of blocks) this.#users[block]!++;
    this.#lists.add(user);
  }

  /** Whether several lists have the block: its rows must not be written. */
  isShared(block: number): boolean {
    return this.#users[block]! > 1;
  }

  /** Removes blocks from a list. Frees memory if half of it or more is free then. */
  release(blocks: readonly number[]): void {
    for (const block of blocks) if (--this.#users[block]! === 0) this.#used--;
    if (2 * this.#used <= this.#users.length) this.trim();
    this.wake();
  }

  /** Forgets a user, who has no blocks. */
  leave(user: BlockUser): void {
    this.#lists.delete(user);
  }

  /** Frees the memory of free blocks, but not of the first `rows`. Does nothing on a device that has failed. */
  trim(rows = 0): void {
    const { device } = this;
    const blocks = Math.max(stepped(this.#used * BLOCK_ROWS), rows) / BLOCK_ROWS;
    if (blocks === 0) {
      for (const tensor of [...this.keys, ...this.values]) tensor.dispose();
      for (const list of [this.keys, this.values, this.#users]) list.length = 0;
    } else if (blocks < this.#users.length && device.sound) {
      this.#compact(blocks);
      this.#users.length = blocks;
      this.#resize(blocks, true);
    }
  }

  /** How often all rows were lost. */
  get losses(): number {
    return this.#losses;
  }

  /**
   * Discards the rows of all blocks because of an error, unless it was the cause of the last loss: where memory ran out while the tensors
   * grew, no copy was made. Who uses them computes them again.
   */
  lose(cause: Error): void {
    if (cause === this.#lossCause) return;
    this.#lossCause = cause;
    this.#losses++;
    for (const list of [...this.#lists]) list.lost();
  }

  /** Throws the cause if rows were lost since there were `losses` losses. */
  check(losses: number): void {
    if (losses !== this.#losses && this.#lossCause) throw this.#lossCause;
  }

  /** Copies block `from` to block `to` in all layers. */
  copy(from: number, to: number): void {
    this.#move([[from, to]]);
  }

  /** The byte ranges of `count` rows of a tensor; in q8 also of their scales, which follow all rows. */
  rangesOf(tensor: Tensor, first: number, count: number): ByteRange[] {
    const width = tensor.size(1);
    const rowBytes = width * BYTES[this.type];
    const ranges = [{ firstByte: first * rowBytes, bytes: count * rowBytes }];
    if (this.type === "q8")
      ranges.push({ firstByte: tensor.length + (first * width) / 16, bytes: (count * width) / 16 });
    return ranges;
  }

  #behind(): LimitError {
    return new LimitError({
      where: "keys and values of all sessions",
      expected: "no sequence that waits for room",
      got: `${this.#line.length}`,
      remedy: "wait for other answers, or load the model with a larger memoryBudget",
    });
  }

  #overBudget(rows: number): LimitError {
    return new LimitError({
      where: "keys and values of all sessions",
      expected: `at most ${this.mostRows} rows within the memory budget`,
      got: `${rows}`,
      remedy: "wait for other answers, or load the model with a larger memoryBudget",
    });
  }

  /** Grows to `rows` at least, and by half unless that is over `most` or `mostRows`. */
  #grow(rows: number, most: number): void {
    const row = paddedRow(this.width, this.type);
    const generous = stepped(this.rows * 1.5);
    const fitting = Math.floor(this.device.facts.maxBindingBytes / (row * 4));
    const wanted = Math.max(stepped(rows), Math.min(generous, fitting, stepped(Math.min(most, this.mostRows))));
    const blocks = Math.floor(wanted / BLOCK_ROWS);
    this.#resize(blocks, false);
    while (this.#users.length < blocks) this.#users.push(0);
  }

  /** Moves the used blocks from `blocks` on into free places before it. */
  #compact(blocks: number): void {
    const places = new Map<number, number>();
    let to = 0;
    for (let from = blocks; from < this.#users.length; from++) {
      if (this.#users[from] === 0) continue;
      while (this.#users[to] !== 0) to++;
      places.set(from, to++);
    }
    if (places.size === 0) return;
    this.#move([...places]);
    for (const [from, place] of places) this.#users[place] = this.#users[from]!;
    for (const list of this.#lists) list.moved(places);
  }

  /** Copies blocks; WebGPU does not copy within a buffer. */
  #move(places: readonly (readonly [from: number, to: number])[]): void {
    const { device } = this;
    device.scope(() => {
      const row = paddedRow(this.width, this.type);
      const between = device.empty([BLOCK_ROWS * row], "f32", "block");
      for (const tensor of [...this.keys, ...this.values]) {
        for (const [from, to] of places) {
          const targets = this.rangesOf(tensor, to * BLOCK_ROWS, BLOCK_ROWS);
          for (const [i, { firstByte, bytes }] of this.rangesOf(tensor, from * BLOCK_ROWS, BLOCK_ROWS).entries()) {
            device.copy(tensor, firstByte, between, 0, bytes);
            device.copy(between, 0, tensor, targets[i]!.firstByte, bytes);
          }
        }
      }
    });
  }

  /** Copies the first rows of a tensor. */
  #copyRows(from: Tensor, to: Tensor, rows: number): void {
    const targets = this.rangesOf(to, 0, rows);
    for (const [i, { firstByte, bytes }] of this.rangesOf(from, 0, rows).entries())
      if (bytes > 0) this.device.copy(from, firstByte, to, targets[i]!.firstByte, bytes);
  }

  /** Resizes one tensor at a time: after an error some have more rows than the pool uses. */
  #resize(blocks: number, shrinks: boolean): void {
    const { device } = this;
    const [rows, row] = [blocks * BLOCK_ROWS, paddedRow(this.width, this.type)];
    let filled = this.#users.length;
    while (filled > 0 && this.#users[filled - 1] === 0) filled--;
    for (let layer = 0; layer < this.layers; layer++) {
      for (const [name, tensors] of [
        ["keys", this.keys],
        ["values", this.values],
      ] as const) {
        const old = tensors[layer];
        if (old && (shrinks ? old.size(0) <= rows : old.size(0) >= rows)) continue;
        const other = this.run(() => device.empty([rows, row], this.type, `cache.${name}.${layer}`));
        try {
          if (old) this.#copyRows(old, other, filled * BLOCK_ROWS);
        } catch (cause) {
          other.dispose();
          throw cause;
        }
        old?.dispose();
        tensors[layer] = other;
      }
    }
  }
}

function stepped(rows: number): number {
  return Math.ceil(rows / STEP) * STEP;
}
