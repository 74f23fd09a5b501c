import { gather } from "../kernels/gather.js";
import { pack } from "../kernels/pack.js";
import { PackedMatrix } from "../kernels/packed.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { LayerSlot } from "./layer-slot.js";
import { checkRange } from "./weight-range.js";
import { StreamedWeights } from "./weight-requests.js";
import type { Weights } from "./weights.js";

/** Rows that were read, each once, and which of them every id has. */
export interface ReadRows {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** `[T]` */
  readonly places: Uint32Array;
}

/**
 * A stored table `[V, D]` that is not on the device: rows are read when they are needed. Row i of a result is that of `Embedding`, bit by bit.
 * @example
 * ```ts
 * const rows = new StoredRows(weights.at("embed_tokens"), "weight", 152_128, 3584);
 * const x = rows.forward(await rows.read(Uint32Array.of(9707))); // [1, 3584]
 * ```
 */
export class StoredRows {
  readonly device: Device;
  readonly #weights: Weights;
  readonly #streamed: StreamedWeights;

  constructor(
    weights: Weights,
    readonly name: string,
    readonly rows: number,
    readonly width: number,
  ) {
    this.device = weights.device;
    this.#weights = weights;
    // A request that is checked like the others, but not loaded.
    this.#streamed = new StreamedWeights(new LayerSlot(weights.device, `rows of ${name}`));
    weights.streamedAs(this.#streamed).stream(name, [rows, width], weights.typeOf(name), () => {});
  }

  /** Checks the hash of the table in a packed checkpoint. Throws CheckpointError, SourceError, AbortedError. */
  async prepare(signal?: AbortSignal): Promise<void> {
    const { packed } = this.#weights.loader.index;
    const path = this.#weights.path(this.name);
    const layer = packed?.layers.find(({ tensors }) => tensors.some(({ parts }) => parts.some((p) => p.name === path)));
    if (!layer) return;
    const { checkWhole } = await import("./packed-layers.js");
    await checkWhole(layer, signal);
  }

  /** Reads the rows of ids `[T]`, each once. Throws CheckpointError for a weight that is not a number; SourceError, AbortedError. */
  async read(ids: Uint32Array, signal?: AbortSignal): Promise<ReadRows> {
    const { stored, type } = this.#streamed.requests[0]!;
    const { name, rows, width } = this;
    const { loader } = this.#weights;
    const unique = [...new Set(ids)].sort((a, b) => a - b);
    const place = new Map(unique.map((id, i) => [id, i]));
    const rowBytes = stored.entry.lengthBytes / rows;
    const bytes = this.#room(unique.length);
    const about = { name: this.#weights.path(name), stored, type, target: this.#weights.typeOf(name), inner: width };
    for (const [i, id] of unique.entries()) {
      const row = await loader.index.read(stored, id * rowBytes, rowBytes, signal);
      checkRange(row, { ...about, firstRow: id });
      bytes.set(row, i * rowBytes);
    }
    return { bytes, count: unique.length, places: ids.map((id) => place.get(id)!) };
  }

  /** Rows that were read → `[T, D]`. */
  forward({ bytes, count, places }: ReadRows): Tensor {
    const { device } = this;
    return device.scope(() => {
      const chunk = device.empty([bytes.length / 4], "u32", "rows");
      device.write(chunk, bytes);
      const table = this.#table(count);
      pack(chunk, this.#streamed.requests[0]!.type, count, table, 0, undefined);
      return gather(device.upload(places, [places.length], "ids"), table, "embeddings");
    });
  }

  /** Records what `forward` records for `count` ids that differ, without rows: to count memory, and to compile. */
  recorded(count: number): Tensor {
    return this.forward({ bytes: this.#room(count), count, places: Uint32Array.from({ length: count }, (_, i) => i) });
  }

  /** Memory for as many rows: whole words, which are uploaded. */
  #room(count: number): Uint8Array {
    const { lengthBytes } = this.#streamed.requests[0]!.stored.entry;
    return new Uint8Array(4 * Math.ceil((count * lengthBytes) / this.rows / 4));
  }

  #table(count: number): PackedMatrix {
    const { device, name, width } = this;
    return PackedMatrix.allocate(device, count, width, this.#weights.typeOf(name), this.#weights.path(name));
  }
}
