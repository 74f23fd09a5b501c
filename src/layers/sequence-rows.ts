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
