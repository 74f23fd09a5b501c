import type { IndexedTensor } from "../io/checkpoint.js";
import type { QuantizedType } from "../io/safetensors.js";
import type { Tensor } from "../runtime/tensor.js";
import type { LayerSlot } from "./layer-slot.js";
import type { MatrixPlace, PackedLoading, RowRange } from "./packed-layers.js";

/** Dtype of a stored tensor; only matrices may be quantised. */
export type StoredType = "f32" | "f16" | "bf16" | QuantizedType;

/** Receives rows `[rows, inner]` of a stored matrix, uploaded as `u32` words. */
export type RowConsumer = (chunk: Tensor, type: StoredType, firstRow: number, rows: number) => void;

/** A stored tensor that a layer has requested, and what becomes of it. */
export interface WeightRequest {
  readonly name: string;
  readonly stored: IndexedTensor;
  readonly type: StoredType;
  readonly shape: readonly number[];
  readonly consume: RowConsumer | undefined;
  readonly into: Tensor | undefined;
  /** Element of `into` at which the tensor begins. */
  readonly first: number;
  readonly place: MatrixPlace | undefined;
  /** The rows that are wanted; all if not given. The first of them is row 0 for `consume`. */
  readonly rows: RowRange | undefined;
}

/** How requests are read: layers of a packed checkpoint as they are, then the other tensors in the order of the files. */
export interface WeightReading {
  readonly packed: PackedLoading | undefined;
  readonly tensors: readonly WeightRequest[];
}

/** The weights of a streamed layer, which are read again and again into memory that other layers use too. */
export class StreamedWeights {
  readonly requests: WeightRequest[] = [];
  /** Known once they were read and checked. */
  reading: WeightReading | undefined;

  constructor(readonly slot: LayerSlot) {}
}
