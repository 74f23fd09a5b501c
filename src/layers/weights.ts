import { platform } from "#platform";
import { CheckpointError, throwIfAborted } from "../base/errors.js";
import type { IndexedTensor, PackedIndex, TensorIndex } from "../io/checkpoint.js";
import {
  foreignTensors,
  GROUP_ELEMENTS,
  PIECE_BYTES,
  type QuantizedMatrix,
  type QuantizedType,
  quantizedRowBytes,
} from "../io/safetensors.js";
import type { Device } from "../runtime/device.js";
import { elementCount, showShape, widenBF16, widenF16 } from "../runtime/dtype.js";
import type { Tensor } from "../runtime/tensor.js";
import { Adapters } from "./low-rank.js";
import type { MatrixPlace, PackedLoading, TargetRequest } from "./packed-layers.js";
import { checkRange } from "./weight-range.js";

/** Dtype of a stored tensor; only matrices may be quantised. */
export type StoredType = "f32" | "f16" | "bf16" | QuantizedType;

/** Storage dtype of weight matrices; "auto" is the dtype of the checkpoint. */
export type StorageDtype = StoredType | "auto";

const STORED: Readonly<Record<string, FloatType>> = { F32: "f32", F16: "f16", BF16: "bf16" };
type FloatType = Exclude<StoredType, QuantizedType>;

/** Returns the dtype of a stored tensor; undefined if unsupported. */
export function storedType({ entry, quantized }: IndexedTensor): StoredType | undefined {
  return quantized?.type ?? STORED[entry.dtype];
}

/** Receives rows `[rows, inner]` of a stored matrix, uploaded as `u32` words. */
export type RowConsumer = (chunk: Tensor, type: StoredType, firstRow: number, rows: number) => void;

/** Progress of loading. */
export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** The tensor being read, or the layer of a packed checkpoint. */
  readonly tensor: string;
}

interface Request {
  readonly name: string;
  readonly stored: IndexedTensor;
  readonly type: StoredType;
  readonly shape: readonly number[];
  readonly consume: RowConsumer | undefined;
  readonly into: Tensor | undefined;
  /** Element of `into` at which the tensor begins. */
  readonly first: number;
  readonly place: MatrixPlace | undefined;
}

/** Size of the pieces in which rows are read and uploaded; it bounds the host memory of loading. */
export const CHUNK_BYTES = PIECE_BYTES;
/** Uploaded bytes after which the host waits for the adapter, to bound its staging memory. */
const WAIT_BYTES = 8 * 1024 * 1024;

/**
 * Loads a checkpoint in two steps. Layers request weights by name and shape in their constructors and get tensors
 * immediately; `load` then fills them, in file order. Missing, misshapen and unused tensors are reported in one error before any
 * weight is read.
 * @example
 * ```ts
 * const files = await openCheckpoint("models/tiny");
 * const loader = new WeightLoader(device, await files.tensors());
 * const language = loader.root().at("language_model.model");
 * const norm = device.arena("norm").run(() => new RMSNorm(language.at("norm"), 256, 1e-6));
 * loader.check("models/tiny", () => true);
 * await loader.load();
 * console.log(await norm.weight.read());
 * ```
 */
export class WeightLoader {
  readonly #requests: Request[] = [];
  readonly #faults: string[] = [];
  readonly #requested = new Set<string>();
  /** Storage dtype of each requested matrix. */
  readonly storageDtypes = new Map<string, StoredType>();
  #piece: Uint8Array | undefined;

  constructor(
    readonly device: Device,
    readonly index: TensorIndex,
    readonly adapters = new Adapters(),
  ) {}

  /** Returns a cursor at the top of the tree of names. */
  root(): Weights {
    return new Weights(this, "");
  }

  /** Whether the checkpoint has a tensor of this name. */
  has(name: string): boolean {
    return this.index.entries.has(name);
  }

  /** Returns the stored dtype of a tensor, "f32" if it is missing. */
  typeOf(name: string): StoredType {
    const stored = this.index.entries.get(name);
    return (stored && storedType(stored.base ?? stored)) ?? "f32";
  }

  /** Requests a tensor by its full name; called by {@link Weights}. */
  request(
    name: string,
    shape: readonly number[],
    target: { consume?: RowConsumer; storageDtype?: StoredType; into?: Tensor; first?: number; place?: MatrixPlace },
  ): void {
    this.#requested.add(name);
    const stored = this.index.entries.get(name);
    if (!stored) {
      this.#faults.push(`tensor ${name} ${showShape(shape)} is missing`);
      return;
    }
    const type = storedType(stored);
    const { shape: had } = stored.quantized ?? stored.entry;
    if (!type || (stored.quantized && !target.consume)) {
      this.#faults.push(
        `tensor ${name} in ${stored.source.name} has dtype ${stored.quantized?.type ?? stored.entry.dtype}, wanted F32, F16 or BF16`,
      );
      return;
    }
    if (showShape(had) !== showShape(shape)) {
      this.#faults.push(
        `tensor ${name} in ${stored.source.name} has shape ${showShape(had)}, wanted ${showShape(shape)}`,
      );
      return;
    }
    if (target.storageDtype) this.storageDtypes.set(name, target.storageDtype);
    this.#requests.push({
      name,
      stored,
      type,
      shape,
      consume: target.consume,
      into: target.into,
      first: target.first ?? 0,
      place: target.place,
    });
  }

  /** What was requested, in the order of requests. */
  get requests(): readonly TargetRequest[] {
    return this.#requests;
  }

  /** Throws one CheckpointError for all missing, misshapen and unused tensors; `ignored` excepts known unused ones. */
  check(where: string, ignored: (name: string) => boolean): void {
    const unused = [...this.index.entries].filter(([name]) => !this.#requested.has(name) && !ignored(name));
    for (const [name, { source }] of unused) this.#faults.push(`tensor ${name} in ${source.name} is not used`);
    if (this.#faults.length === 0) {
      for (const adapter of this.adapters.all) adapter.check();
      return;
    }
    const foreign = foreignTensors(unused.map(([name]) => name));
    if (foreign)
      throw new CheckpointError({ where, expected: "the tensors that its config.json describes", ...foreign });
    const shown = this.#faults.slice(0, 6).join("; ");
    const more = this.#faults.length > 6 ? `; and ${this.#faults.length - 6} more` : "";
    throw new CheckpointError({
      where,
      expected: "the tensors that its config.json describes",
      got: `${shown}${more}`,
      remedy: "check that config.json and the safetensors files belong together",
    });
  }

  /**
   * Reads every requested tensor; layers of a packed checkpoint as they are. Throws CheckpointError, also for a weight that is not finite
   * or that its storage dtype can't hold, and for a layer whose hash differs; SourceError, AbortedError.
   */
  async load(
    options: { signal?: AbortSignal | undefined; onProgress?: ((p: LoadProgress) => void) | undefined } = {},
  ): Promise<void> {
    // Frees the garbage of parsing (some 60 MB for a vocabulary of 150,000 tokens) before the weights are loaded.
    platform.collectGarbage();
    const packed = this.index.packed && (await packedLoading(this.index.packed, this.#requests));
    const order = this.#requests
      .filter(({ place, into }) => !packed?.fills(place?.matrix ?? into))
      .sort(
        (a, b) =>
          a.stored.source.name.localeCompare(b.stored.source.name) ||
          a.stored.entry.offsetBytes - b.stored.entry.offsetBytes,
      );
    const totalBytes =
      (packed?.sizeBytes ?? 0) + order.reduce((sum, request) => sum + request.stored.entry.lengthBytes, 0);
    let loadedBytes = 0;
    let unsynced = 0;
    const loaded = async (bytes: number, tensor: string): Promise<void> => {
      loadedBytes += bytes;
      unsynced += bytes;
      options.onProgress?.({ loadedBytes, totalBytes, tensor });
      if (unsynced <= WAIT_BYTES) return;
      await this.device.sync();
      unsynced = 0;
    };
    // One reused buffer: `write` copies each piece, and large garbage would accumulate.
    this.#piece ??= new Uint8Array(CHUNK_BYTES);
    if (packed) {
      for await (const { bytes, layer } of packed.load(options.signal, this.#piece)) await loaded(bytes, layer);
    }
    for (const request of order) {
      for await (const bytes of this.#fill(request, options.signal)) await loaded(bytes, request.name);
    }
    await this.device.sync();
    this.device.pool.trim(); // the pieces' memory
  }

  async *#fill(request: Request, signal: AbortSignal | undefined): AsyncGenerator<number> {
    const { stored, type, shape, consume, into } = request;
    const pieceBytes = Math.min(CHUNK_BYTES, this.device.facts.maxBindingBytes);
    const inner = elementCount(shape) / shape[0]!;
    const about = { name: request.name, stored, type, target: this.storageDtypes.get(request.name) ?? "f32", inner };
    if (into) {
      const bytes = await this.index.read(stored, 0, stored.entry.lengthBytes, signal, this.#piece);
      checkRange(bytes, { ...about, firstRow: 0 });
      this.device.write(into, widen(bytes, type as FloatType), request.first * 4);
      yield bytes.length;
      return;
    }
    const rows = shape[0]!;
    const rowBytes = stored.entry.lengthBytes / rows;
    // An even number of rows keeps 16-bit rows of odd length on whole words.
    const step = Math.max(2, 2 * Math.floor(pieceBytes / rowBytes / 2));
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      throwIfAborted(signal, `loading ${request.name}`);
      const bytes = await this.index.read(stored, first * rowBytes, count * rowBytes, signal, this.#piece);
      checkRange(bytes, { ...about, firstRow: first });
      this.device.scope(() => {
        // Constant size, so that the pool reuses one buffer.
        const chunk = this.device.empty([Math.ceil(Math.max(bytes.length, pieceBytes) / 4)], "u32", request.name);
        this.device.write(chunk, bytes);
        consume!(chunk, type, first, count);
      });
      yield bytes.length;
    }
  }
}

/**
 * A cursor into the checkpoint's tree of names: `weights.at("self_attn").tensor("q_proj.bias", [896])`.
 * @example
 * ```ts
 * const layer = weights.at("layers.0"); // model.layers.0
 * const bias = layer.at("self_attn").tensor("q_proj.bias", [896]);
 * ```
 */
export class Weights {
  constructor(
    readonly loader: WeightLoader,
    readonly prefix: string,
    /** Storage dtype of the matrices below this prefix. */
    readonly dtype: StorageDtype = "auto",
  ) {}

  get device(): Device {
    return this.loader.device;
  }

  /** The adapters that are loaded with the checkpoint. */
  get adapters(): Adapters {
    return this.loader.adapters;
  }

  /** Returns a cursor at a name below this one. */
  at(name: string): Weights {
    return new Weights(this.loader, this.path(name), this.dtype);
  }

  /** Returns the same cursor with another storage dtype. */
  storedAs(dtype: StorageDtype): Weights {
    return new Weights(this.loader, this.prefix, dtype);
  }

  /** Returns the full name of a tensor below this cursor. */
  path(name: string): string {
    return this.prefix === "" ? name : `${this.prefix}.${name}`;
  }

  /** Requests a small tensor, widened to f32. */
  tensor(name: string, shape: readonly number[]): Tensor {
    const path = this.path(name);
    const into = this.device.empty(shape, "f32", path);
    this.loader.request(path, shape, { into });
    return into;
  }

  /** Requests a small tensor, widened to f32 and written to `into` from element `first` on. */
  part(name: string, shape: readonly number[], into: Tensor, first: number): void {
    this.loader.request(this.path(name), shape, { into, first });
  }

  /**
   * Requests a large tensor, which is passed to `consume` in chunks of rows while loading; the first dimension is the rows. A packed
   * checkpoint that has the matrix of `place` fills it without `consume`.
   */
  stream(
    name: string,
    shape: readonly number[],
    storageDtype: StoredType,
    consume: RowConsumer,
    place?: MatrixPlace,
  ): void {
    this.loader.request(this.path(name), shape, { consume, storageDtype, ...(place && { place }) });
  }

  /** Returns the storage dtype of a matrix. */
  typeOf(name: string): Exclude<StorageDtype, "auto"> {
    return this.dtype === "auto" ? this.loader.typeOf(this.path(name)) : this.dtype;
  }
}

/** Loads the code for packed checkpoints with the first of them. */
async function packedLoading(packed: PackedIndex, requests: readonly Request[]): Promise<PackedLoading> {
  const { PackedLoading, targetsOf } = await import("./packed-layers.js");
  return new PackedLoading(packed, targetsOf(requests));
}

/** Widens stored floats to f32. */
export function widen(bytes: Uint8Array, type: FloatType): Float32Array {
  // A copy where the view is not aligned to its elements.
  const at = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  if (type === "f32") return new Float32Array(at.buffer, at.byteOffset, at.length / 4);
  const half = new Uint16Array(at.buffer, at.byteOffset, at.length / 2);
  return type === "f16" ? widenF16(half) : widenBF16(half);
}

/** Dequantises rows of a matrix to f32. */
export function widenQuantized(bytes: Uint8Array, { type, shape }: QuantizedMatrix): Float32Array {
  const inner = shape[1];
  const rowBytes = quantizedRowBytes(type, inner);
  const rows = bytes.length / rowBytes;
  const groups = Math.ceil(inner / GROUP_ELEMENTS);
  const values = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    const own = bytes.slice(row * rowBytes, (row + 1) * rowBytes);
    const halves = widenF16(new Uint16Array(own.buffer));
    for (let k = 0; k < inner; k++) {
      const group = Math.floor(k / GROUP_ELEMENTS);
      const j = k % GROUP_ELEMENTS;
      if (type === "q4") {
        const n = (own[group * 20 + (j >> 1)]! >> (4 * (j & 1))) & 15;
        values[row * inner + k] = n * halves[group * 10 + 8]! + halves[group * 10 + 9]!;
      } else {
        const scale = halves[(groups * GROUP_ELEMENTS) / 2 + group]!;
        values[row * inner + k] = (own[group * GROUP_ELEMENTS + j]! - 128) * scale;
      }
    }
  }
  return values;
}
