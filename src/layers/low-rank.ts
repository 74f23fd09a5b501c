import { CheckpointError } from "../base/errors.js";
import { pack } from "../kernels/pack.js";
import { PackedMatrix } from "../kernels/packed.js";
import type { Device } from "../runtime/device.js";
import { showShape } from "../runtime/dtype.js";
import type { Tensor } from "../runtime/tensor.js";

/** The two matrices of a module: `scale·B·A` is added to its weight. */
export interface LowRankPair {
  /** `[rank, inner]` */
  readonly a: Float32Array;
  /** `[columns, rank]` */
  readonly b: Float32Array;
  readonly rank: number;
  readonly inner: number;
  readonly columns: number;
  readonly scale: number;
}

const NONE = { modules: [], replaced: [] };

/** An adapter's low-rank pairs by the name of the module that they belong to, in host memory until the layers have requested them. */
export class LowRankAdapter {
  /** Those that no layer has requested yet. */
  readonly #left: Map<string, LowRankPair>;

  /** `merged`: modules and tensors of the checkpoint that the adapter changes besides, in the weights themselves. */
  constructor(
    readonly name: string,
    pairs: ReadonlyMap<string, LowRankPair>,
    readonly merged: { readonly modules: readonly string[]; readonly replaced: readonly string[] } = NONE,
  ) {
    this.#left = new Map(pairs);
  }

  /** Modules that no layer has requested yet. */
  get modules(): readonly string[] {
    return [...this.#left.keys()];
  }

  /** Hands out the pair of a module, once; undefined if it has none. Throws CheckpointError for other sizes than the module's. */
  request(module: string, columns: number, inner: number): LowRankPair | undefined {
    const pair = this.#left.get(module);
    if (!pair) return undefined;
    if (pair.columns === columns && pair.inner === inner) {
      this.#left.delete(module);
      return pair;
    }
    throw new CheckpointError({
      where: `adapter ${this.name}: ${module}`,
      expected: `an adapter of a matrix ${showShape([columns, inner])}`,
      got: `one of ${showShape([pair.columns, pair.inner])}`,
      remedy: "load the adapter with the checkpoint that it was trained on",
    });
  }

  /** Throws CheckpointError for modules that no layer has requested. */
  check(): void {
    const unused = this.modules;
    if (unused.length === 0) return;
    const more = unused.length > 4 ? `, and ${unused.length - 4} more` : "";
    throw new CheckpointError({
      where: `adapter ${this.name}`,
      expected: "modules of the checkpoint",
      got: unused.slice(0, 4).join(", ") + more,
      remedy: "load the adapter with the checkpoint that it was trained on",
    });
  }
}

/** Dropout of what an adapter sees in a step of training. */
export interface AdapterDropout {
  readonly adapter: string;
  /** Dropout of the input x `[T, inner]` of a layer, which its first module names, or of a gradient; added to `into` if given. */
  drop(x: Tensor, module: string, into?: Tensor): Tensor;
}

/** The adapters of a model, and those that the next pass uses. */
export class Adapters {
  /** Names of the adapters that are added. */
  active: readonly string[];
  /** Only while a step of training is recorded. */
  dropout: AdapterDropout | undefined;
  readonly #all: LowRankAdapter[];

  constructor(all: readonly LowRankAdapter[] = []) {
    this.#all = [...all];
    this.active = this.names;
  }

  get all(): readonly LowRankAdapter[] {
    return this.#all;
  }

  /** Adds one after loading; the layers attach what it has for them. */
  add(adapter: LowRankAdapter): void {
    this.#all.push(adapter);
    this.active = this.names;
  }

  get names(): readonly string[] {
    return this.all.map(({ name }) => name);
  }

  /** Selects the adapters of the passes that follow; undefined for all. */
  use(names: readonly string[] | undefined): void {
    this.active = names ?? this.names;
  }
}

/** An adapter's addition to one linear layer: `x·Aᵀ·Bᵀ`, with the scale in B. */
export interface LowRank {
  readonly adapter: string;
  /** A: `[rank, inner]`; of a fused layer the parts' ranks one after the other. */
  readonly down: PackedMatrix;
  /** B: `[columns, rank]`; each part's columns use its own ranks. */
  readonly up: PackedMatrix;
  /** The modules of the layer, in the order of their columns. */
  readonly parts: readonly LowRankPart[];
}

/** A module of a linear layer, and what an adapter adds to it. */
export interface LowRankPart {
  readonly module: string;
  readonly columns: number;
  readonly interleave?: 0 | 1 | undefined;
  /** 0 if the adapter adds nothing to it. */
  readonly rank: number;
  readonly scale: number;
}

/** Uploads what an adapter adds to a linear layer of these parts; undefined if it adds nothing. */
export function lowRank(
  device: Device,
  adapter: LowRankAdapter,
  inner: number,
  parts: readonly { readonly module: string; readonly columns: number; readonly interleave?: 0 | 1 }[],
): LowRank | undefined {
  const pairs = parts.map(({ module, columns }) => adapter.request(module, columns, inner));
  const rank = pairs.reduce((sum, pair) => sum + (pair?.rank ?? 0), 0);
  if (rank === 0) return undefined;
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const label = `${adapter.name}: ${parts.map(({ module }) => module).join("+")}`;
  const down = PackedMatrix.allocate(device, rank, inner, "f32", `${label} A`);
  const up = PackedMatrix.allocate(device, columns, rank, "f32", `${label} B`);
  let firstRank = 0;
  let firstColumn = 0;
  device.scope(() => {
    for (const [i, part] of parts.entries()) {
      const pair = pairs[i];
      const b = new Float32Array(part.columns * rank);
      if (pair) {
        pack(device.upload(words(pair.a), [pair.a.length], label), "f32", pair.rank, down, firstRank);
        for (let c = 0; c < part.columns; c++) {
          for (let r = 0; r < pair.rank; r++) b[c * rank + firstRank + r] = pair.scale * pair.b[c * pair.rank + r]!;
        }
        firstRank += pair.rank;
      }
      const first = part.interleave === undefined ? firstColumn : 0;
      pack(device.upload(words(b), [b.length], label), "f32", part.columns, up, first, part.interleave);
      firstColumn += part.columns;
    }
  });
  const own = parts.map((part, i) => ({ ...part, rank: pairs[i]?.rank ?? 0, scale: pairs[i]?.scale ?? 0 }));
  return { adapter: adapter.name, down, up, parts: own };
}

/** The same bits as words. */
function words(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
