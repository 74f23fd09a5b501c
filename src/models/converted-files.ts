import { OptionError, shown, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { IndexedTensor, TensorIndex } from "../io/checkpoint.js";
import {
  type CheckpointFiles,
  type CheckpointLocation,
  HUB_OPTIONS,
  type HubOptions,
  openCheckpoint,
} from "../io/checkpoint.js";
import {
  inFileOrder,
  itemBytes,
  type QuantizedMatrix,
  quantizedMetadata,
  quantizedRowBytes,
  safetensorsHeader,
  type TensorHead,
} from "../io/safetensors.js";
import type { JsonValue } from "../io/text.js";
import { quantizeRows } from "../kernels/pack.js";
import { checkRange } from "../layers/weight-range.js";
import {
  type StorageDtype,
  type StoredType,
  storedType,
  WeightLoader,
  widen,
  widenQuantized,
} from "../layers/weights.js";
import { Device } from "../runtime/device.js";
import { elementCount, narrowBF16, narrowF16 } from "../runtime/dtype.js";
import type { ConvertedFile } from "./converted-file.js";
import { type AdapterLocations, adaptedWeights } from "./llava-onevision/adapted-weights.js";
import { type DtypeByPart, dtypeByPart } from "./llava-onevision/dtype-by-part.js";
import { readFamily } from "./llava-onevision/family.js";
import { Network } from "./llava-onevision/network.js";
import { inCheckpoint, readConfig } from "./llava-onevision/read-config.js";

export type { ConvertedFile };

export interface ConvertOptions extends HubOptions {
  /** Storage dtype of each part's matrices; "auto" leaves them unchanged. */
  dtype: StorageDtype | Partial<DtypeByPart>;
  /** An existing device, used for quantisation. */
  device?: Device;
  /** Maximum size of a weights file in bytes; 5 GB if not given. */
  shardBytes?: number;
  signal?: AbortSignal | undefined;
  /** LoRA adapters that are merged into the weights, as when loading. */
  adapter?: AdapterLocations | undefined;
}

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
const SHARD_BYTES = 5e9;
const CHUNK_BYTES = 2 ** 22;
const DTYPES = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** The implementation of `convertCheckpoint`. */
export async function* convertedFiles(
  location: CheckpointLocation,
  options: ConvertOptions,
): AsyncGenerator<ConvertedFile, void, undefined> {
  checkOptions("convertCheckpoint", options, ["dtype", "device", "shardBytes", "signal", "adapter", ...HUB_OPTIONS]);
  const dtype = dtypeByPart(options.dtype);
  const shardBytes = options.shardBytes ?? SHARD_BYTES;
  if (!(shardBytes > 0)) {
    const remedy = `leave it out for ${SHARD_BYTES}`;
    throw new OptionError({ where: "shardBytes", expected: "a number above 0", got: shown(shardBytes), remedy });
  }
  const files = await openCheckpoint(location, options);
  let device = options.device;
  let index: TensorIndex | undefined;
  try {
    const configJson = await readFamily(files);
    device ??= await Device.open();
    index = await files.tensors();
    if (options.adapter !== undefined) {
      const { layout } = await readConfig(files, configJson, index);
      ({ index } = await adaptedWeights(index, layout, options.adapter, true, options));
    }
    const planned = await plan(files, configJson, index, device, dtype);
    const shards = divide(planned, shardBytes);
    const names = shards.map((_, i) => shardName(i, shards.length));
    for (const [i, tensors] of shards.entries()) {
      yield weightsFile(names[i]!, tensors, index, device, options.signal);
    }
    if (shards.length > 1) yield textFile("model.safetensors.index.json", shardIndex(shards, names));
    for (const name of COPIED_FILES) {
      const text = await files.text(name);
      if (text !== undefined) yield textFile(name, text);
    }
  } catch (cause) {
    throw inCheckpoint(files.name, cause);
  } finally {
    await index?.close();
    if (!options.device) device?.dispose();
  }
}

/** Determines the matrices and their storage dtypes by running the model's constructors. */
async function plan(
  files: CheckpointFiles,
  configJson: JsonValue,
  index: TensorIndex,
  device: Device,
  dtype: DtypeByPart,
): Promise<Planned[]> {
  const config = await readConfig(files, configJson, index);
  const loader = new WeightLoader(device, index);
  device.precompile(() => {
    new Network(loader.root(), config, dtype, device.empty([3, 256], "f32", "levels"));
  });
  loader.check(files.name, (name) => config.layout.ignored(name));
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

/** Divides tensors into shards of at most `most` bytes, or of one larger tensor. */
function divide(planned: readonly Planned[], most: number): Planned[][] {
  const shards: Planned[][] = [[]];
  let bytes = 0;
  for (const tensor of planned) {
    if (bytes > 0 && bytes + tensor.bytes > most) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += tensor.bytes;
  }
  return shards.map(inFileOrder);
}

function shardName(i: number, count: number): string {
  const number = (n: number): string => String(n).padStart(5, "0");
  return count === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(count)}.safetensors`;
}

function shardIndex(shards: readonly Planned[][], names: readonly string[]): string {
  const weightMap = Object.fromEntries(shards.flatMap((tensors, i) => tensors.map(({ name }) => [name, names[i]!])));
  const total = shards.flat().reduce((sum, { bytes }) => sum + bytes, 0);
  return `${JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }, undefined, 2)}\n`;
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
