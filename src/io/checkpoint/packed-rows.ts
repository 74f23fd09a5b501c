import type { ByteSource } from "../bytes/source.js";
import type { IndexedTensor } from "./indexed-tensor.js";
import {
  fault,
  GROUP_BYTES,
  PANEL_COLUMNS,
  type PackedLayer,
  type PackedTensor,
  type PackedType,
  packedLayers,
} from "./packed-tensors.js";
import { GROUP_ELEMENTS, quantizedRowBytes } from "./quantized.js";
import type { SafetensorsDType, SafetensorsFile } from "./safetensors.js";

/** Bytes that a lane loads at once: one element quad of f32, more of smaller types. */
const PIECE = 16;
/** Quads of a group. */
const QUADS = GROUP_ELEMENTS / 4;
/** Columns of a block of interleaved matrices. */
const BLOCK = 8;
const DTYPES = { f32: "F32", f16: "F16", bf16: "BF16", q8: "U8", q4: "U8" } as const satisfies Record<
  PackedType,
  SafetensorsDType
>;
const ITEM_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;

/** Where a tensor of the checkpoint is in a packed one. */
interface Place {
  readonly source: ByteSource;
  readonly tensor: PackedTensor;
  /** Column of a matrix, or element of other tensors, at which it begins. */
  readonly first: number;
  readonly interleave: 0 | 1 | undefined;
  readonly rowBytes: number;
}

/** The layers of packed files, and the tensors that were packed as they were before: row-major, read from the panels. */
export class PackedRows {
  readonly layers: readonly PackedLayer[];
  readonly entries: ReadonlyMap<string, IndexedTensor>;
  readonly #places = new Map<IndexedTensor, Place>();

  /** Throws CheckpointError for metadata that is not known or does not fit the files. */
  constructor(files: readonly SafetensorsFile[]) {
    this.layers = files.flatMap(packedLayers);
    const entries = new Map<string, IndexedTensor>();
    for (const { source, tensors } of this.layers) {
      for (const tensor of tensors) {
        const { inner, type, parts } = tensor;
        let first = 0;
        for (const { name, shape, interleave } of parts) {
          const rows = shape[0]!;
          const rowBytes = inner === undefined ? 4 * (elements(shape) / rows) : rowBytesOf(type, inner);
          const isQuantized = type === "q8" || type === "q4";
          const entry = {
            name,
            dtype: DTYPES[type],
            shape: isQuantized ? [rows, rowBytes] : shape,
            offsetBytes: tensor.offsetBytes,
            lengthBytes: rows * rowBytes,
          };
          const quantized = isQuantized ? { type, shape: [rows, inner!] as const } : undefined;
          const stored: IndexedTensor = { entry, source, quantized };
          if (entries.has(name)) throw fault(`${source.name}: tensor ${name}`, "it in one packed tensor", "it in two");
          this.#places.set(stored, { source, tensor, first, interleave, rowBytes });
          entries.set(name, stored);
          if (interleave === undefined) first += inner === undefined ? elements(shape) : rows;
        }
      }
    }
    this.entries = entries;
  }

  /** Reads bytes of a tensor of `entries`; offsets count from its first byte. */
  async read(
    stored: IndexedTensor,
    offsetBytes: number,
    lengthBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const { source, tensor, first, interleave, rowBytes } = this.#places.get(stored)!;
    if (tensor.inner === undefined) {
      return source.read(tensor.offsetBytes + 4 * first + offsetBytes, lengthBytes, signal);
    }
    const from = Math.floor(offsetBytes / rowBytes);
    const to = Math.ceil((offsetBytes + lengthBytes) / rowBytes);
    if (from === to) return new Uint8Array();
    const columnOf = (row: number): number =>
      interleave === undefined ? first + row : Math.floor(row / BLOCK) * 2 * BLOCK + (row % BLOCK) + BLOCK * interleave;
    const groups = Math.ceil(tensor.inner / GROUP_ELEMENTS);
    const panelBytes = groups * GROUP_BYTES[tensor.type];
    const firstPanel = Math.floor(columnOf(from) / PANEL_COLUMNS);
    const endPanel = Math.floor(columnOf(to - 1) / PANEL_COLUMNS) + 1;
    const offset = tensor.offsetBytes + firstPanel * panelBytes;
    const panels = await source.read(offset, (endPanel - firstPanel) * panelBytes, signal);
    const rows = new Uint8Array((to - from) * rowBytes);
    for (let row = from; row < to; row++) {
      const column = columnOf(row) - firstPanel * PANEL_COLUMNS;
      const panel = panels.subarray(Math.floor(column / PANEL_COLUMNS) * panelBytes);
      const into = rows.subarray((row - from) * rowBytes, (row - from + 1) * rowBytes);
      copyColumn(panel, column % PANEL_COLUMNS, tensor.type, groups, into);
    }
    const skipped = offsetBytes - from * rowBytes;
    return skipped === 0 && rows.length === lengthBytes ? rows : rows.slice(skipped, skipped + lengthBytes);
  }
}

function rowBytesOf(type: PackedType, inner: number): number {
  return type === "q8" || type === "q4" ? quantizedRowBytes(type, inner) : inner * ITEM_BYTES[type];
}

/** Copies a column of a panel to a row, which may end within the last group. */
function copyColumn(panel: Uint8Array, lane: number, type: PackedType, groups: number, row: Uint8Array): void {
  const groupBytes = GROUP_BYTES[type];
  /** Elements lie in pieces, those of all columns one after the other. */
  const pieces = (type === "q4" ? 1 : type === "q8" ? 2 : type === "f32" ? QUADS : QUADS / 2) as number;
  const elementBytes = pieces * PIECE;
  const rowStep = type === "q4" ? elementBytes + 4 : elementBytes;
  for (let group = 0; group < groups; group++) {
    const from = group * groupBytes;
    for (let piece = 0; piece < pieces; piece++) {
      const at = from + (piece * PANEL_COLUMNS + lane) * PIECE;
      const to = group * rowStep + piece * PIECE;
      const bytes = Math.min(PIECE, row.length - to);
      for (let i = 0; i < bytes; i++) row[to + i] = panel[at + i]!;
    }
    // The scales end a group, those of columns c, c + 8, c + 16 and c + 24 side by side.
    if (type !== "q4" && type !== "q8") continue;
    const scaleBytes = type === "q4" ? 4 : 2;
    const scale = from + pieces * PIECE * PANEL_COLUMNS + ((lane % 8) * 4 + Math.floor(lane / 8)) * scaleBytes;
    const to = type === "q4" ? group * rowStep + elementBytes : groups * elementBytes + group * scaleBytes;
    for (let i = 0; i < scaleBytes; i++) row[to + i] = panel[scale + i]!;
  }
}

function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
