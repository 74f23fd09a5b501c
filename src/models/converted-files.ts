import { throwIfAborted } from "../base/errors.js";
import type { CheckpointFiles, CheckpointLocation, IndexedTensor, TensorIndex } from "../io/checkpoint.js";
import {
  inFileOrder,
  itemBytes,
  type QuantizedMatrix,
  quantizedMetadata,
  quantizedRowBytes,
  safetensorsHeader,
  type TensorHead,
} from "../io/safetensors.js";
import { quantizeRows } from "../kernels/pack.js";
import { checkRange } from "../layers/weight-range.js";
import { type StoredType, storedType } from "../layers/weights.js";
import { widen, widenQuantized } from "../layers/widen.js";
import type { Device } from "../runtime/device.js";
import { elementCount, narrowBF16, narrowF16 } from "../runtime/dtype.js";
import {
  type ConversionSource,
  type ConvertOptions,
  divide,
  openSource,
  shardIndex,
  shardName,
} from "./conversion-source.js";
import type { ConvertedFile } from "./converted-file.js";
import { inCheckpoint } from "./llava-onevision/read-config.js";

export type { ConvertedFile, ConvertOptions };

/** A tensor of the converted checkpoint, and its source. */
interface Planned extends TensorHead {
  readonly stored: IndexedTensor;
  readonly from: StoredType | undefined;
  readonly to: StoredType | undefined;
  readonly bytes: number;
}

/** Files that are copied unchanged. */
export const COPIED_FILES = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "video_preprocessor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
];
const CHUNK_BYTES = 2 ** 22;
const DTYPES = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** The implementation of `convertCheckpoint`. */
export async function* convertedFiles(
  location: CheckpointLocation,
  options: ConvertOptions,
): AsyncGenerator<ConvertedFile, void, undefined> {
  const source = await openSource(location, options);
  const { files, index, device } = source;
  try {
    const shards = divide(plan(source), ({ bytes }) => bytes, source.shardBytes).map(inFileOrder);
    for (const [i, tensors] of shards.entries()) {
      yield weightsFile(shardName(i, shards.length), tensors, index, device, options.signal);
    }
    if (shards.length > 1) {
      const totalBytes = shards.flat().reduce((sum, { bytes }) => sum + bytes, 0);
      const names = shards.map((tensors) => tensors.map(({ name }) => name));
      yield textFile("model.safetensors.index.json", shardIndex(names, totalBytes));
    }
    yield* copiedFiles(files);
  } catch (cause) {
    throw inCheckpoint(files.name, cause);
  } finally {
    await source.close();
  }
}

/** Yields the files without weights, unchanged. */
export async function* copiedFiles(files: CheckpointFiles): AsyncGenerator<ConvertedFile> {
  for (const name of COPIED_FILES) {
    const text = await files.text(name);
    if (text !== undefined) yield textFile(name, text);
  }
}

/** Determines dtype and size of each tensor. */
function plan({ index, loader }: ConversionSource): Planned[] {
  return [...index.entries].map(([name, stored]): Planned => {
    const from = storedType(stored);
    const to = loader.storageDtypes.get(name) ?? from;
    const { shape } = stored.quantized ?? stored.entry;
    const rows = shape[0] ?? 1;
    const inner = elementCount(shape) / rows;
    if (to === "q8" || to === "q4") {
      const bytesARow = quantizedRowBytes(to, inner);
      return { name, stored, from, to, dtype: "U8", shape: [rows, bytesARow], bytes: rows * bytesARow };
    }
    const target = to === undefined ? stored.entry.dtype : DTYPES[to];
    return { name, stored, from, to, dtype: target, shape, bytes: elementCount(shape) * itemBytes(target) };
  });
}

function weightsFile(
  name: string,
  tensors: readonly Planned[],
  index: TensorIndex,
  device: Device,
  signal: AbortSignal | undefined,
): ConvertedFile {
  const matrices = new Map<string, QuantizedMatrix>();
  for (const { name: tensor, stored, to } of tensors) {
    if (to !== "q8" && to !== "q4") continue;
    const { shape } = stored.quantized ?? stored.entry;
    matrices.set(tensor, { type: to, shape: [shape[0]!, elementCount(shape) / shape[0]!] });
  }
  const header = safetensorsHeader(tensors, { format: "pt", ...quantizedMetadata(matrices) });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const tensor of tensors) yield* converted(tensor, index, device, signal);
  }
  const sizeBytes = tensors.reduce((sum, { bytes }) => sum + bytes, header.length);
  return { name, sizeBytes, chunks: chunks() };
}

/** Yields a converted tensor's bytes, some rows at a time. */
async function* converted(
  { name, stored, from, to }: Planned,
  index: TensorIndex,
  device: Device,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const { entry, quantized } = stored;
  const { shape } = quantized ?? entry;
  const rows = from === to ? entry.lengthBytes : shape[0]!;
  const inner = elementCount(shape) / shape[0]!;
  const rowBytes = entry.lengthBytes / rows;
  // An even number of rows keeps 16-bit rows of odd length on whole words.
  const step = Math.max(2, 2 * Math.floor(Math.min(CHUNK_BYTES, device.facts.maxBindingBytes) / rowBytes / 2));
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    throwIfAborted(signal, `converting ${name}`);
    const bytes = await index.read(stored, first * rowBytes, count * rowBytes, signal);
    if (from === to || from === undefined || to === undefined) {
      yield bytes;
      continue;
    }
    checkRange(bytes, { name, stored, type: from, target: to, firstRow: first, inner });
    if (to === "q8" || to === "q4") {
      const packed = device.scope(() => {
        const chunk = device.empty([Math.ceil(bytes.length / 4)], "u32", name);
        device.write(chunk, bytes);
        return quantizeRows(chunk, from, count, inner, to);
      });
      yield new Uint8Array(await device.read(packed));
      packed.dispose();
    } else {
      const values = from === "q8" || from === "q4" ? widenQuantized(bytes, quantized!) : widen(bytes, from);
      const narrow = to === "f32" ? values : to === "f16" ? narrowF16(values) : narrowBF16(values);
      yield new Uint8Array(narrow.buffer, narrow.byteOffset, narrow.byteLength);
    }
  }
}

export function textFile(name: string, text: string): ConvertedFile {
  const bytes = new TextEncoder().encode(text);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  return { name, sizeBytes: bytes.length, chunks: chunks() };
}
