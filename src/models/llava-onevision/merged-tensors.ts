import type { IndexedTensor, PackedIndex, TensorIndex } from "../../io/checkpoint.js";
import { quantizedRowBytes } from "../../io/safetensors.js";
import type { LowRankPair } from "../../layers/low-rank.js";
import { storedType } from "../../layers/weights.js";
import { widen, widenQuantized } from "../../layers/widen.js";
import type { LoadedAdapter } from "./adapter.js";

/** A matrix as it is with adapters: f32, computed when it is read. */
interface Merged {
  readonly stored: IndexedTensor;
  readonly pairs: readonly LowRankPair[];
}

/**
 * The tensors of a checkpoint with adapters merged into them: `W + Σ scale·B·A`, exact to f32 before they are stored in another type; tensors
 * that an adapter brings whole take the place of the checkpoint's.
 */
export class MergedTensors implements TensorIndex {
  readonly entries: ReadonlyMap<string, IndexedTensor>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly sizeBytes: number;
  readonly packed: PackedIndex | undefined;
  readonly #merged = new Map<IndexedTensor, Merged>();
  /** The index that a tensor is read from. */
  readonly #own = new Map<IndexedTensor, TensorIndex>();

  constructor(
    private readonly base: TensorIndex,
    private readonly adapters: readonly LoadedAdapter[],
  ) {
    const entries = new Map(base.entries);
    for (const { replaced, index } of adapters) {
      for (const [name, tensor] of replaced) {
        entries.set(name, tensor);
        this.#own.set(tensor, index);
      }
    }
    const pairs = new Map<string, LowRankPair[]>();
    for (const { merged } of adapters) {
      for (const [module, pair] of merged) pairs.set(module, [...(pairs.get(module) ?? []), pair]);
    }
    for (const [module, all] of pairs) {
      const name = `${module}.weight`;
      const stored = entries.get(name);
      const { columns, inner } = all[0]!;
      // A module that is not there is a tensor that no layer asks for: the loader names it.
      const shape = [columns, inner];
      const entry = {
        name,
        dtype: "F32" as const,
        shape,
        offsetBytes: stored?.entry.offsetBytes ?? 0,
        lengthBytes: columns * inner * 4,
      };
      const tensor: IndexedTensor = { entry, source: (stored ?? [...base.entries.values()][0]!).source, base: stored };
      entries.set(name, tensor);
      if (stored) this.#merged.set(tensor, { stored, pairs: all });
    }
    this.entries = entries;
    this.packed = base.packed;
    this.shapes = new Map([...entries].map(([name, { entry, quantized }]) => [name, (quantized ?? entry).shape]));
    this.sizeBytes = [...entries.values()].reduce((total, { entry }) => total + entry.lengthBytes, 0);
  }

  async read(
    tensor: IndexedTensor,
    offsetBytes: number,
    lengthBytes: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array> {
    const merged = this.#merged.get(tensor);
    if (!merged) return (this.#own.get(tensor) ?? this.base).read(tensor, offsetBytes, lengthBytes, signal, into);
    const inner = tensor.entry.shape[1]!;
    const first = Math.floor(offsetBytes / (inner * 4));
    const end = Math.ceil((offsetBytes + lengthBytes) / (inner * 4));
    const values = await this.#rows(merged.stored, first, end - first, signal);
    for (const pair of merged.pairs) addProduct(values, pair, first, end - first);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const from = offsetBytes - first * inner * 4;
    return bytes.subarray(from, from + lengthBytes);
  }

  async #rows(
    stored: IndexedTensor,
    first: number,
    count: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { quantized, entry } = stored;
    const rows = (quantized ?? entry).shape[0]!;
    const rowBytes = entry.lengthBytes / rows;
    const index = this.#own.get(stored) ?? this.base;
    const bytes = await index.read(stored, first * rowBytes, count * rowBytes, signal);
    if (quantized) {
      const shape = [count, quantized.shape[1]] as const;
      return widenQuantized(bytes.slice(0, count * quantizedRowBytes(quantized.type, shape[1])), {
        ...quantized,
        shape,
      });
    }
    // A copy: what is read may be the caller's buffer.
    return widen(bytes, storedType(stored) as "f32" | "f16" | "bf16").slice();
  }

  async close(): Promise<void> {
    await Promise.all([this.base, ...this.adapters.map(({ index }) => index)].map((index) => index.close()));
  }
}

/** Adds `scale·B·A` to `count` rows of a matrix from row `first` on. */
function addProduct(
  values: Float32Array,
  { a, b, rank, inner, scale }: LowRankPair,
  first: number,
  count: number,
): void {
  for (let row = 0; row < count; row++) {
    const own = values.subarray(row * inner, (row + 1) * inner);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b[(first + row) * rank + r]!;
      if (factor === 0) continue;
      const at = r * inner;
      for (let k = 0; k < inner; k++) own[k] = own[k]! + factor * a[at + k]!;
    }
  }
}
