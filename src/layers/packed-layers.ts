import type { IndexedTensor, PackedIndex } from "../io/checkpoint.js";
import {
  type LayerPiece,
  PANEL_COLUMNS,
  type PackedLayer,
  type PackedTensor,
  readLayer,
  verifyLayers,
} from "../io/packed.js";
import { PackedMatrix } from "../kernels/packed.js";
import type { Tensor } from "../runtime/tensor.js";
import type { HostCache } from "./host-cache.js";
import type { PieceCopy, UploadRing } from "./upload-ring.js";

/** Rows of a stored matrix. */
export interface RowRange {
  readonly first: number;
  readonly count: number;
}

/** A stored tensor, or a part of a target that it becomes. */
export interface TargetPart {
  readonly name: string;
  readonly stored: IndexedTensor;
  readonly shape: readonly number[];
  readonly interleave: 0 | 1 | undefined;
  /** The rows that are wanted; all if undefined. */
  readonly rows: RowRange | undefined;
}

/** The packed matrix that rows become a part of. */
export interface MatrixPlace {
  readonly matrix: PackedMatrix;
  readonly interleave?: 0 | 1 | undefined;
}

/** A request of a stored tensor, as `WeightLoader` keeps it. */
export interface TargetRequest {
  readonly name: string;
  readonly stored: IndexedTensor;
  readonly shape: readonly number[];
  readonly place: MatrixPlace | undefined;
  readonly into: Tensor | undefined;
  /** Element of `into` at which the tensor begins. */
  readonly first: number;
  readonly rows: RowRange | undefined;
}

/** Memory of the device, and the stored tensors that fill it, in their order in it. */
export interface Target {
  readonly memory: PackedMatrix | Tensor;
  readonly parts: readonly TargetPart[];
}

/** Returns the memory that was requested, in the order of requests; without tensors that the caller consumes in chunks. */
export function targetsOf(requests: readonly TargetRequest[]): Target[] {
  const targets = new Map<PackedMatrix | Tensor, (TargetPart & { first: number })[]>();
  for (const { name, stored, shape, into, first, place, rows } of requests) {
    const memory = place?.matrix ?? into;
    if (!memory) continue;
    const parts = targets.get(memory) ?? [];
    targets.set(memory, parts);
    parts.push({ name, stored, shape, first, interleave: place?.interleave, rows });
  }
  return [...targets].map(([memory, parts]) => ({ memory, parts: parts.sort((a, b) => a.first - b.first) }));
}

/** A layer of a packed checkpoint and the memory of each of its tensors, by name. */
export interface PlacedLayer {
  readonly layer: PackedLayer;
  readonly targets: ReadonlyMap<string, Target>;
  /** The layer as it is stored, where `layer` has only some rows of it. */
  readonly whole?: PackedLayer | undefined;
}

/** Layers that are not read as a whole, and were checked. */
const checkedWhole = new WeakSet<PackedLayer>();

/**
 * Divides the layers of a packed checkpoint: those whose tensors are, all of them, what the memory of the device has to be, and those that
 * have to be packed again because a storage dtype or an adapter differs. Layers without a target are in neither.
 */
export function placeLayers(
  packed: PackedIndex,
  targets: readonly Target[],
): { direct: PlacedLayer[]; again: PackedLayer[] } {
  const byName = new Map(targets.map((target) => [target.memory.label, target]));
  const stored = new Set(targets.flatMap(({ parts }) => parts.map((part) => part.stored)));
  const direct: PlacedLayer[] = [];
  const again: PackedLayer[] = [];
  for (const layer of packed.layers) {
    const own = new Map<string, Target>();
    for (const tensor of layer.tensors) {
      const target = byName.get(tensor.name);
      if (target && isSame(tensor, target, packed)) own.set(tensor.name, target);
    }
    if (own.size === layer.tensors.length) direct.push(withRows({ layer, targets: own }));
    else if (layer.tensors.some(({ parts }) => parts.some(({ name }) => stored.has(packed.entries.get(name)!)))) {
      again.push(layer);
    }
  }
  return { direct, again };
}

/** Narrows a layer of one matrix to the panels of the rows that its target wants. */
function withRows({ layer, targets }: PlacedLayer): PlacedLayer {
  const [tensor] = layer.tensors;
  const rows = targets.get(tensor!.name)!.parts[0]!.rows;
  if (!rows) return { layer, targets };
  const panelBytes = tensor!.lengthBytes / Math.ceil(tensor!.parts[0]!.shape[0]! / PANEL_COLUMNS);
  const range = {
    offsetBytes: tensor!.offsetBytes + (rows.first / PANEL_COLUMNS) * panelBytes,
    lengthBytes: Math.ceil(rows.count / PANEL_COLUMNS) * panelBytes,
  };
  return { layer: { ...layer, ...range, tensors: [{ ...tensor!, ...range }] }, targets, whole: layer };
}

/** Whether a packed tensor has the bytes of a target. */
function isSame({ type, inner, parts }: PackedTensor, target: Target, packed: PackedIndex): boolean {
  const { memory } = target;
  const isMatrix = memory instanceof PackedMatrix;
  if (isMatrix ? memory.type !== type || memory.inner !== inner : inner !== undefined) return false;
  return (
    parts.length === target.parts.length &&
    parts.every(({ name, shape, interleave }, i) => {
      const part = target.parts[i]!;
      // Adapters that are merged, or bring a tensor whole, put another entry in its place.
      const isStored = packed.entries.get(name) === part.stored;
      return isStored && String(shape) === String(part.shape) && interleave === part.interleave;
    })
  );
}

/** Returns what the memory of a layer's tensors gets of a piece. */
export function copiesOf({ layer, targets }: PlacedLayer, { at, bytes }: LayerPiece): PieceCopy[] {
  const copies: PieceCopy[] = [];
  /** Adds what a tensor of `length` bytes from `first` on, counted from the first byte of the piece, has in common with it. */
  const add = (tensor: Tensor, first: number, length: number): void => {
    const from = Math.max(0, first);
    const to = Math.min(bytes.length, first + length);
    if (from < to) copies.push({ tensor, from, to, offset: from - first });
  };
  for (const tensor of layer.tensors) {
    const { memory } = targets.get(tensor.name)!;
    const first = tensor.offsetBytes - layer.offsetBytes - at;
    if (first >= bytes.length || first + tensor.lengthBytes <= 0) continue;
    if (!(memory instanceof PackedMatrix)) {
      add(memory, first, tensor.lengthBytes);
      continue;
    }
    const panelBytes = tensor.lengthBytes / Math.ceil(memory.columns / PANEL_COLUMNS);
    for (const block of memory.blocks) {
      const panels = Math.ceil(block.columns / PANEL_COLUMNS);
      add(block.tensor, first + (block.firstColumn / PANEL_COLUMNS) * panelBytes, panels * panelBytes);
    }
  }
  return copies;
}

/** Fills memory of the device from a packed checkpoint. */
export class PackedLoading {
  /** Bytes that `load` copies. */
  readonly sizeBytes: number;
  readonly #direct: readonly PlacedLayer[];
  readonly #again: readonly PackedLayer[];
  readonly #filled: ReadonlySet<PackedMatrix | Tensor>;

  constructor(packed: PackedIndex, targets: readonly Target[]) {
    const { direct, again } = placeLayers(packed, targets);
    this.#direct = direct;
    this.#again = again;
    this.#filled = new Set(direct.flatMap((placed) => [...placed.targets.values()].map(({ memory }) => memory)));
    this.sizeBytes = direct.reduce((sum, { layer }) => sum + layer.lengthBytes, 0);
  }

  /** Whether `load` fills this memory; the rest has to be packed again. */
  fills(memory: PackedMatrix | Tensor | undefined): boolean {
    return memory !== undefined && this.#filled.has(memory);
  }

  /**
   * Copies layers to the device, and yields the bytes of each piece. Checks the hashes of all layers that are used, also of those that
   * are packed again; `checks` is false for layers that were checked before. `into` is used for the pieces; `cache` keeps
   * them, and `ring` uploads them. Throws CheckpointError, SourceError, AbortedError.
   */
  async *load(
    signal: AbortSignal | undefined,
    into: readonly [Uint8Array, Uint8Array],
    checks = true,
    cache?: HostCache,
    ring?: UploadRing,
  ): AsyncGenerator<{ layer: string; bytes: number }> {
    for (const placed of this.#direct) {
      if (checks && placed.whole) await checkWhole(placed.whole, signal);
      const source = cache?.over(placed.layer.source) ?? placed.layer.source;
      const pieces = readLayer({ ...placed.layer, source }, signal, into, checks && !placed.whole);
      try {
        for await (const piece of pieces) {
          const copies = copiesOf(placed, piece);
          if (ring) await ring.write(piece.bytes, copies);
          else
            for (const { tensor, from, to, offset } of copies)
              tensor.device.write(tensor, piece.bytes.subarray(from, to), offset);
          yield { layer: placed.layer.name, bytes: piece.bytes.length };
        }
        ring?.finish();
      } finally {
        ring?.reset();
      }
    }
    if (checks) for (const layer of this.#again) await checkWhole(layer, signal);
  }
}

/** Checks the hash of a layer that is not read as a whole, once. Throws CheckpointError, SourceError, AbortedError. */
export async function checkWhole(layer: PackedLayer, signal: AbortSignal | undefined): Promise<void> {
  if (checkedWhole.has(layer)) return;
  await verifyLayers([layer], signal);
  checkedWhole.add(layer);
}
