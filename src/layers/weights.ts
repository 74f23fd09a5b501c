import { platform } from "#platform";
import { CheckpointError, throwIfAborted } from "../base/errors.js";
import type { IndexedTensor, PackedIndex, TensorIndex } from "../io/checkpoint.js";
import { foreignTensors, PIECE_BYTES } from "../io/safetensors.js";
import { pack } from "../kernels/pack.js";
import type { PackedMatrix } from "../kernels/packed.js";
import type { Device } from "../runtime/device.js";
import { elementCount, showShape } from "../runtime/dtype.js";
import type { Tensor } from "../runtime/tensor.js";
import type { HostCache } from "./host-cache.js";
import { Adapters } from "./low-rank.js";
import type { MatrixPlace, PackedLoading, RowRange, TargetRequest } from "./packed-layers.js";
import type { UploadRing } from "./upload-ring.js";
import { type LayerUploads, UploadWindow } from "./upload-window.js";
import { checkRange } from "./weight-range.js";
import type { RowConsumer, StoredType, StreamedWeights, WeightReading, WeightRequest } from "./weight-requests.js";
import { type FloatType, widen } from "./widen.js";

export type { RowConsumer, StoredType } from "./weight-requests.js";

/** Storage dtype of weight matrices; "auto" is the dtype of the checkpoint. */
export type StorageDtype = StoredType | "auto";

const STORED: Readonly<Record<string, FloatType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** Returns the dtype of a stored tensor; undefined if unsupported. */
export function storedType({ entry, quantized }: IndexedTensor): StoredType | undefined {
  return quantized?.type ?? STORED[entry.dtype];
}

/** Progress of loading. */
export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** The tensor being read, or the layer of a packed checkpoint. */
  readonly tensor: string;
}

/** Size of the pieces in which rows are read and uploaded; it bounds the host memory of loading. */
export const CHUNK_BYTES = PIECE_BYTES;

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
  readonly #requests: WeightRequest[] = [];
  #faults: string[] = [];
  #requested = new Set<string>();
  /** Storage dtype of each requested matrix. */
  readonly storageDtypes = new Map<string, StoredType>();
  /** Loaders for other devices. */
  readonly #others: WeightLoader[] = [];
  #pieces: readonly [Uint8Array, Uint8Array] | undefined;
  /** Streamed layers are read one after the other. */
  #layers: Promise<void> = Promise.resolve();

  constructor(
    readonly device: Device,
    readonly index: TensorIndex,
    readonly adapters = new Adapters(),
    /** What layers that stream keep in host memory. */
    readonly hostCache?: HostCache,
  ) {}

  /** Returns a loader of the same checkpoint for another device: `check` and `load` of this one include its requests. */
  beside(device: Device): WeightLoader {
    const other = new WeightLoader(device, this.index, this.adapters);
    other.#faults = this.#faults;
    other.#requested = this.#requested;
    this.#others.push(other);
    return other;
  }

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
    target: {
      consume?: RowConsumer;
      storageDtype?: StoredType;
      into?: Tensor;
      first?: number;
      place?: MatrixPlace;
      rows?: RowRange;
    },
    streamed?: StreamedWeights,
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
    (streamed?.requests ?? this.#requests).push({
      name,
      stored,
      type,
      shape,
      consume: target.consume,
      into: target.into,
      first: target.first ?? 0,
      place: target.place,
      rows: target.rows,
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
   * Reads every requested tensor but those of streamed layers; layers of a packed checkpoint as they are. Throws CheckpointError, also for
   * a weight that is not finite or that its storage dtype can't hold, and for a layer whose hash differs; SourceError, AbortedError.
   */
  async load(
    options: { signal?: AbortSignal | undefined; onProgress?: ((p: LoadProgress) => void) | undefined } = {},
  ): Promise<void> {
    // Frees the garbage of parsing (some 60 MB for a vocabulary of 150,000 tokens) before the weights are loaded.
    platform.collectGarbage();
    const readings: { loader: WeightLoader; reading: WeightReading }[] = [];
    for (const loader of [this, ...this.#others]) {
      readings.push({ loader, reading: await loader.#divided(loader.#requests) });
    }
    const totalBytes = readings.reduce((sum, { reading }) => sum + sizeOf(reading), 0);
    let loadedBytes = 0;
    for (const { loader, reading } of readings) {
      const uploads = new UploadWindow(loader.device, 0);
      for await (const { bytes, tensor } of loader.#read(reading, options.signal, true)) {
        loadedBytes += bytes;
        options.onProgress?.({ loadedBytes, totalBytes, tensor });
        await uploads.add(bytes);
      }
      await loader.device.sync();
      loader.device.pool.trim(); // the pieces' memory
    }
  }

  /**
   * Reads the weights of a streamed layer, after those that were asked for before; throws what `load` throws. They are checked the first time.
   * @internal
   */
  loadLayer(weights: StreamedWeights, uploads: LayerUploads, signal?: AbortSignal): Promise<void> {
    const loaded = this.#layers.then(async () => {
      throwIfAborted(signal, "reading a layer");
      const reading = weights.reading ?? (await this.#divided(weights.requests));
      const pieces = this.#read(reading, signal, !weights.reading, this.hostCache, uploads.ring);
      for await (const { bytes, staged } of pieces) if (!staged) await uploads.window.add(bytes);
      weights.reading = reading;
    });
    this.#layers = loaded.catch(() => {});
    return loaded;
  }

  async #divided(requests: readonly WeightRequest[]): Promise<WeightReading> {
    const packed = this.index.packed && (await packedLoading(this.index.packed, requests));
    const tensors = requests
      .filter(({ place, into }) => !packed?.fills(place?.matrix ?? into))
      .sort(({ stored: a }, { stored: b }) => {
        return a.source.name.localeCompare(b.source.name) || a.entry.offsetBytes - b.entry.offsetBytes;
      });
    return { packed, tensors };
  }

  /** Yields the bytes of each piece once it is uploaded. */
  async *#read(
    { packed, tensors }: WeightReading,
    signal: AbortSignal | undefined,
    checks: boolean,
    cache?: HostCache,
    ring?: UploadRing,
  ): AsyncGenerator<{ bytes: number; tensor: string; staged?: boolean }> {
    // Reused: `write` copies each piece, and large garbage would accumulate.
    this.#pieces ??= [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)];
    if (packed) {
      const pieces = packed.load(signal, this.#pieces, checks, cache, ring);
      for await (const { bytes, layer } of pieces) yield { bytes, tensor: layer, staged: !!ring };
    }
    for (const request of tensors) {
      for await (const bytes of this.#fill(request, signal, checks, cache)) yield { bytes, tensor: request.name };
    }
  }

  async *#fill(
    request: WeightRequest,
    signal: AbortSignal | undefined,
    checks: boolean,
    cache: HostCache | undefined,
  ): AsyncGenerator<number> {
    const { stored, type, shape, consume, into } = request;
    const pieceBytes = Math.min(CHUNK_BYTES, this.device.facts.maxBindingBytes);
    const inner = elementCount(shape) / shape[0]!;
    const read = (at: number, length: number): Promise<Uint8Array> => {
      const stored = () => this.index.read(request.stored, at, length, signal, this.#pieces?.[0]);
      return cache ? cache.read(`${request.name} ${at} ${length}`, stored) : stored();
    };
    const about = { name: request.name, stored, type, target: this.storageDtypes.get(request.name) ?? "f32", inner };
    if (into) {
      const bytes = await read(0, stored.entry.lengthBytes);
      if (checks) checkRange(bytes, { ...about, firstRow: 0 });
      this.device.write(into, widen(bytes, type as FloatType), request.first * 4);
      yield bytes.length;
      return;
    }
    const rowBytes = stored.entry.lengthBytes / shape[0]!;
    const { first: firstRow, count: rows } = request.rows ?? { first: 0, count: shape[0]! };
    // An even number of rows keeps 16-bit rows of odd length on whole words.
    const step = Math.max(2, 2 * Math.floor(pieceBytes / rowBytes / 2));
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      throwIfAborted(signal, `loading ${request.name}`);
      const bytes = await read((firstRow + first) * rowBytes, count * rowBytes);
      if (checks) checkRange(bytes, { ...about, firstRow: firstRow + first });
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
    /** The streamed layer whose weights are below this prefix. */
    readonly streamed?: StreamedWeights,
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
    return new Weights(this.loader, this.path(name), this.dtype, this.streamed);
  }

  /** Returns the same cursor with another storage dtype. */
  storedAs(dtype: StorageDtype): Weights {
    return new Weights(this.loader, this.prefix, dtype, this.streamed);
  }

  /**
   * Returns the same cursor for the weights of a streamed layer.
   * @internal
   */
  streamedAs(layer: StreamedWeights): Weights {
    return new Weights(this.loader, this.prefix, this.dtype, layer);
  }

  /**
   * Allocates memory of weights: a streamed layer's are those of its slot.
   * @internal
   */
  allocate<T>(make: () => T): T {
    return this.streamed ? this.streamed.slot.run(make) : make();
  }

  /** Returns the full name of a tensor below this cursor. */
  path(name: string): string {
    return this.prefix === "" ? name : `${this.prefix}.${name}`;
  }

  /** Requests a small tensor, widened to f32. */
  tensor(name: string, shape: readonly number[]): Tensor {
    const path = this.path(name);
    const into = this.allocate(() => this.device.empty(shape, "f32", path));
    this.loader.request(path, shape, { into }, this.streamed);
    return into;
  }

  /** Requests a small tensor, widened to f32 and written to `into` from element `first` on. */
  part(name: string, shape: readonly number[], into: Tensor, first: number): void {
    this.loader.request(this.path(name), shape, { into, first }, this.streamed);
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
    const target = { consume, storageDtype, ...(place && { place }) };
    this.loader.request(this.path(name), shape, target, this.streamed);
  }

  /**
   * Requests some rows of a large tensor, whole panels of a matrix.
   * @internal
   */
  streamRows(name: string, shape: readonly number[], matrix: PackedMatrix, rows: RowRange): void {
    const consume: RowConsumer = (chunk, stored, first, count) => pack(chunk, stored, count, matrix, first, undefined);
    const target = { consume, storageDtype: matrix.type, place: { matrix }, rows };
    this.loader.request(this.path(name), shape, target, this.streamed);
  }

  /** Returns the storage dtype of a matrix. */
  typeOf(name: string): Exclude<StorageDtype, "auto"> {
    return this.dtype === "auto" ? this.loader.typeOf(this.path(name)) : this.dtype;
  }
}

function sizeOf({ packed, tensors }: WeightReading): number {
  return tensors.reduce((sum, { stored }) => sum + stored.entry.lengthBytes, packed?.sizeBytes ?? 0);
}

/** Loads the code for packed checkpoints with the first of them. */
async function packedLoading(packed: PackedIndex, requests: readonly WeightRequest[]): Promise<PackedLoading> {
  const { PackedLoading, targetsOf } = await import("./packed-layers.js");
  return new PackedLoading(packed, targetsOf(requests));
}
