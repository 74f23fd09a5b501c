/** The weights of a checkpoint: one safetensors file, or shards with an index that must agree with them. */

import { CheckpointError, SourceError } from "../../base/errors.js";
import type { Place } from "../bytes/place.js";
import type { ByteSource } from "../bytes/source.js";
import { isJsonObject, type JsonValue, showJson } from "../text/json.js";
import { listed } from "./foreign-tensors.js";
import { type IndexedTensor, PACKED_KEY } from "./indexed-tensor.js";
import type { PackedRows } from "./packed-rows.js";
import type { PackedLayer } from "./packed-tensors.js";
import { quantizedMatrices } from "./quantized.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors.js";

export type { IndexedTensor } from "./indexed-tensor.js";

/** The layers of a packed checkpoint in the order of the files. */
export interface PackedIndex {
  readonly layers: readonly PackedLayer[];
  /** The tensors that were packed, by name. */
  readonly entries: ReadonlyMap<string, IndexedTensor>;
}

/** All tensors of a checkpoint by name. */
export interface TensorIndex {
  readonly entries: ReadonlyMap<string, IndexedTensor>;
  /** Shapes by name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Bytes of all tensors. */
  readonly sizeBytes: number;
  /** The layers of a packed checkpoint. Their tensors are in `entries` too, as they were before packing. */
  readonly packed?: PackedIndex | undefined;
  /**
   * Reads part of a tensor; `offsetBytes` counts from its first byte. `into` may be used for the result.
   * @throws SourceError for a range outside the tensor and if reading fails; AbortedError.
   */
  read(
    tensor: IndexedTensor,
    offsetBytes: number,
    lengthBytes: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array>;
  /** Closes the files; tensors can't be read afterwards. */
  close(): Promise<void>;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/**
 * Opens the weights of a place.
 * @param indexJson the parsed index file, undefined if there is none. A single file takes precedence over an index, as in transformers.
 * @throws CheckpointError if there are no weights, a shard is missing, or index and shards disagree; SourceError; AbortedError.
 */
export async function openTensors(
  place: Place,
  indexJson: JsonValue | undefined,
  signal?: AbortSignal,
  name = SINGLE,
): Promise<TensorIndex> {
  const opened: ByteSource[] = [];
  const close = async () => {
    await Promise.all(opened.map((source) => source.close()));
  };
  const open = async (file: string): Promise<SafetensorsFile | undefined> => {
    const source = await place.open(file);
    if (!source) return undefined;
    opened.push(source);
    if ((await place.list())?.includes(`${file}.aria2`)) {
      const got = `one that is still being downloaded (${file}.aria2 lies beside it)`;
      const remedy = "let the download finish, or start it again";
      throw new CheckpointError({ where: source.name, expected: "a whole file", got, remedy });
    }
    return openSafetensors(source, signal);
  };
  try {
    const single = await open(name);
    if (single) return await tensorsOf([single], close);
    if (indexJson === undefined) {
      const { missing } = await import("./foreign-checkpoint.js");
      throw await missing(place, name, name === SINGLE ? `${SINGLE} or ${INDEX} with its shards` : name);
    }
    return await tensorsOf(await openShards(place, indexJson, open), close);
  } catch (cause) {
    await close();
    throw cause;
  }
}

async function tensorsOf(files: readonly SafetensorsFile[], close: () => Promise<void>): Promise<TensorIndex> {
  const isPacked = ({ metadata }: SafetensorsFile): boolean => metadata.has(PACKED_KEY);
  if (!files.some(isPacked)) return new Tensors(files, undefined, close);
  const { PackedRows } = await import("./packed-rows.js");
  const others = files.filter((file) => !isPacked(file));
  return new Tensors(others, new PackedRows(files.filter(isPacked)), close);
}

class Tensors implements TensorIndex {
  readonly entries: ReadonlyMap<string, IndexedTensor>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly sizeBytes: number;

  constructor(
    files: readonly SafetensorsFile[],
    readonly packed: PackedRows | undefined,
    readonly close: () => Promise<void>,
  ) {
    const entries = new Map<string, IndexedTensor>();
    const add = (name: string, tensor: IndexedTensor): void => {
      const other = entries.get(name);
      if (other) {
        const got = other.source === tensor.source ? "it twice" : `${other.source.name} and ${tensor.source.name}`;
        throw disagree(`tensor ${name}`, "one file that holds it", got);
      }
      entries.set(name, tensor);
    };
    for (const file of files) {
      const { source } = file;
      const quantized = quantizedMatrices(file);
      for (const [name, entry] of file.entries) add(name, { entry, source, quantized: quantized.get(name) });
    }
    for (const [name, tensor] of packed?.entries ?? []) add(name, tensor);
    this.entries = entries;
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
    const { entry, source } = tensor;
    if (offsetBytes < 0 || lengthBytes < 0 || offsetBytes + lengthBytes > entry.lengthBytes) {
      throw new SourceError({
        where: `${source.name}: tensor ${entry.name}`,
        expected: `a range within ${entry.lengthBytes} bytes`,
        got: `bytes ${offsetBytes} to ${offsetBytes + lengthBytes}`,
        remedy: "read within the tensor",
      });
    }
    if (this.packed?.entries.get(entry.name) === tensor)
      return this.packed.read(tensor, offsetBytes, lengthBytes, signal);
    return source.read(entry.offsetBytes + offsetBytes, lengthBytes, signal, into);
  }
}

async function openShards(
  place: Place,
  indexJson: JsonValue,
  open: (file: string) => Promise<SafetensorsFile | undefined>,
): Promise<SafetensorsFile[]> {
  const shardOf = readWeightMap(indexJson, `${place.name}: ${INDEX}`);
  const names = [...new Set(shardOf.values())].sort();
  // Await all before failing, so that every opened source is closed.
  const outcomes = await Promise.allSettled(names.map((name) => open(name)));
  const files: SafetensorsFile[] = [];
  const absent: string[] = [];
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome.status === "rejected") throw outcome.reason;
    const file = outcome.value;
    if (!file) {
      absent.push(names[i]!);
      continue;
    }
    files.push(file);
    for (const name of file.entries.keys()) {
      if (shardOf.get(name) === names[i]) continue;
      const expected = shardOf.has(name) ? `it in ${shardOf.get(name)} only` : `an entry in ${INDEX}`;
      throw disagree(`${file.source.name}: tensor ${name}`, expected, `it in ${names[i]}`);
    }
    for (const [name, shard] of shardOf) {
      if (shard === names[i] && !file.entries.has(name)) {
        throw disagree(`${file.source.name}: tensor ${name}`, `it here, as ${INDEX} says`, "no such tensor");
      }
    }
  }
  if (absent.length > 0) {
    const { partialDownloads } = await import("./foreign-checkpoint.js");
    const partial = await partialDownloads(place);
    throw new CheckpointError({
      where: place.name,
      expected: `the ${names.length} files named in ${INDEX}`,
      got: `${files.length}; missing: ${listed(absent, 10)}${partial.length > 0 ? ` (not finished: ${listed(partial)})` : ""}`,
      remedy: "download the missing files into the same place",
    });
  }
  return files;
}

/**
 * Reads the map from tensor names to shards. `metadata.total_size` is not checked: several tools write it wrongly, and the headers are
 * authoritative.
 */
function readWeightMap(index: JsonValue, where: string): Map<string, string> {
  const map = isJsonObject(index) ? index.weight_map : undefined;
  if (!isJsonObject(map)) {
    const remedy = "download the file again";
    throw new CheckpointError({ where: `${where}: weight_map`, expected: "an object", got: showJson(map), remedy });
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // Path traversal: names must stay within the checkpoint's folder.
    if (typeof shard !== "string" || !/^[^/\\]+\.safetensors$/.test(shard)) {
      const remedy = "use a checkpoint whose shards lie beside their index";
      const got = showJson(shard);
      throw new CheckpointError({
        where: `${where}: weight_map.${name}`,
        expected: "the name of a .safetensors file",
        got,
        remedy,
      });
    }
    shardOf.set(name, shard);
  }
  return shardOf;
}

function disagree(where: string, expected: string, got: string): CheckpointError {
  const remedy = "files of different checkpoints or versions are mixed; download all of them again";
  return new CheckpointError({ where, expected, got, remedy });
}
