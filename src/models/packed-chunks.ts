import { throwIfAborted } from "../base/errors.js";
import type { TensorIndex } from "../io/checkpoint.js";
import { PANEL_COLUMNS } from "../io/packed.js";
import { pack } from "../kernels/pack.js";
import { PackedMatrix } from "../kernels/packed.js";
import { setZero } from "../kernels/zeros.js";
import type { Target, TargetPart } from "../layers/packed-layers.js";
import { checkRange } from "../layers/weight-range.js";
import { CHUNK_BYTES, storedType } from "../layers/weights.js";
import { widen } from "../layers/widen.js";
import type { Device } from "../runtime/device.js";
import { elementCount } from "../runtime/dtype.js";

/** Most bytes of packed panels that exist at a time. */
const SLICE_BYTES = 2 ** 24;

/**
 * Yields what a target will have in its memory: a matrix as the `pack` kernel writes it, some panels at a time, other tensors in f32.
 * `sliceBytes`: most bytes of panels at a time, at least one panel. Columns that fill up the last panel are zero. Throws CheckpointError for a weight that is not finite or that its storage dtype can't
 * hold; SourceError, AbortedError.
 */
export async function* packedChunks(
  { memory, parts }: Target,
  index: TensorIndex,
  device: Device,
  signal?: AbortSignal,
  sliceBytes = SLICE_BYTES,
): AsyncGenerator<Uint8Array> {
  if (memory instanceof PackedMatrix) {
    yield* panels(memory, parts, index, device, signal, sliceBytes);
    return;
  }
  for (const { name, stored, shape } of parts) {
    throwIfAborted(signal, `packing ${name}`);
    const type = storedType(stored) as "f32" | "f16" | "bf16";
    const bytes = await index.read(stored, 0, stored.entry.lengthBytes, signal);
    const inner = elementCount(shape) / shape[0]!;
    checkRange(bytes, { name, stored, type, target: "f32", firstRow: 0, inner });
    const values = widen(bytes, type);
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
}

async function* panels(
  { columns, inner, type, label, sizeBytes }: PackedMatrix,
  parts: readonly TargetPart[],
  index: TensorIndex,
  device: Device,
  signal: AbortSignal | undefined,
  sliceBytes: number,
): AsyncGenerator<Uint8Array> {
  const panelBytes = sizeBytes / Math.ceil(columns / PANEL_COLUMNS);
  const step = Math.max(1, Math.floor(sliceBytes / panelBytes)) * PANEL_COLUMNS;
  for (let first = 0; first < columns; first += step) {
    const arena = device.arena(`panels of ${label}`);
    try {
      const count = Math.min(step, columns - first);
      const slice = arena.run(() => PackedMatrix.allocate(device, count, inner, type, label));
      for (const { tensor } of slice.blocks) setZero(tensor);
      let partFirst = 0;
      for (const part of parts) {
        await packPart(part, partFirst, first, slice, index, signal);
        if (part.interleave === undefined) partFirst += part.shape[0]!;
      }
      for (const { tensor } of slice.blocks) yield new Uint8Array(await device.read(tensor));
    } finally {
      arena.dispose();
    }
  }
}

/** Packs the rows of a part that belong to a slice of the matrix, whose first column is `first`. `partFirst`: that of the part. */
async function packPart(
  { name, stored, shape, interleave }: TargetPart,
  partFirst: number,
  first: number,
  slice: PackedMatrix,
  index: TensorIndex,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { device } = slice.blocks[0]!.tensor;
  const { inner } = slice;
  const rows = shape[0]!;
  // Interleaved parts have half of the columns each; slices begin at whole panels.
  const share = interleave === undefined ? 1 : 2;
  const from = Math.max(0, first / share - partFirst);
  const to = Math.min(rows, Math.ceil((first + slice.columns) / share) - partFirst);
  const type = storedType(stored)!;
  const rowBytes = stored.entry.lengthBytes / rows;
  const pieceBytes = Math.min(CHUNK_BYTES, device.facts.maxBindingBytes);
  const step = Math.max(1, Math.floor(pieceBytes / rowBytes));
  for (let row = from; row < to; row += step) {
    const count = Math.min(step, to - row);
    throwIfAborted(signal, `packing ${name}`);
    const bytes = await index.read(stored, row * rowBytes, count * rowBytes, signal);
    checkRange(bytes, { name, stored, type, target: slice.type, firstRow: row, inner });
    device.scope(() => {
      const chunk = device.empty([Math.ceil(Math.max(bytes.length, pieceBytes) / 4)], "u32", name);
      device.write(chunk, bytes);
      pack(chunk, type, count, slice, partFirst + row - first / share, interleave);
    });
  }
}
