import { type SequenceTables, sequenceTables } from "../kernels/kv-blocks.js";
import { partStep, type Tensor } from "../runtime/tensor.js";
import type { KVCache } from "./kv-cache.js";

/**
 * Consecutive rows of a step that belong to one sequence, and follow the positions of its cache. A step has one or more of them: one row
 * of each sequence that decodes, or the rows of a prompt. Entries with the same cache follow each other's positions, each row with the
 * sums that it has alone.
 */
export interface SequenceRows {
  readonly cache: KVCache;
  readonly rows: number;
}

/**
 * Uploads the block tables of a step of several rows, so that all layers attend with as many dispatches as for one row. Undefined for
 * steps that are one sequence's alone, or longer ones, or watched.
 */
export function tablesOf(sequences: readonly SequenceRows[]): SequenceTables | undefined {
  const [first, ...others] = sequences;
  if (others.length === 0) return undefined;
  const { pool, device } = first!.cache;
  if (sequences.some(({ cache, rows }) => rows !== 1 || cache.pool !== pool || cache.watcher)) return undefined;
  /** Rows of this step by their cache: those of one sequence come one by one. */
  const rows = new Map<KVCache, number>();
  return sequenceTables(
    device,
    sequences.map(({ cache }) => {
      const before = rows.get(cache) ?? 0;
      rows.set(cache, before + 1);
      return { position: cache.length + before, blocks: cache.blocks };
    }),
  );
}

/** Rows of a matrix, and whether they are a copy because bindings may not begin there. */
interface Rows {
  readonly tensor: Tensor;
  readonly isCopy: boolean;
}

/** Returns rows `first` to `first + count` of x `[T, W]`: a part of its memory where a binding may begin there, else a copy. */
export function rowsOf(x: Tensor, first: number, count: number): Tensor {
  const { tensor, isCopy } = place(x, first, count);
  const rowBytes = x.size(1) * 4;
  if (isCopy) x.device.copy(x, first * rowBytes, tensor, 0, count * rowBytes);
  return tensor;
}

/** Calls `write` with a tensor that becomes rows `first` to `first + count` of y `[T, W]`. */
export function writeRows(y: Tensor, first: number, count: number, write: (rows: Tensor) => void): void {
  const { tensor, isCopy } = place(y, first, count);
  write(tensor);
  const rowBytes = y.size(1) * 4;
  if (isCopy) y.device.copy(tensor, 0, y, first * rowBytes, count * rowBytes);
}

function place(x: Tensor, first: number, count: number): Rows {
  const width = x.size(1);
  const isCopy = first % partStep(width * 4) !== 0;
  const shape = [count, width];
  return { tensor: isCopy ? x.device.empty(shape, x.dtype, x.label) : x.part(first * width, shape), isCopy };
}
