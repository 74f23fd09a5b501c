import { OptionError, shown } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import {
  type CheckpointFiles,
  type CheckpointLocation,
  HUB_OPTIONS,
  type HubOptions,
  openCheckpoint,
  type TensorIndex,
} from "../io/checkpoint.js";
import { type StorageDtype, WeightLoader } from "../layers/weights.js";
import { Device } from "../runtime/device.js";
import { type AdapterLocations, adaptedWeights } from "./llava-onevision/adapted-weights.js";
import type { LlavaOneVisionConfig } from "./llava-onevision/config.js";
import { type DtypeByPart, dtypeByPart } from "./llava-onevision/dtype-by-part.js";
import { readFamily } from "./llava-onevision/family.js";
import { Network } from "./llava-onevision/network.js";
import { inCheckpoint, readConfig } from "./llava-onevision/read-config.js";

export interface ConvertOptions extends HubOptions {
  /** Storage dtype of each part's matrices; "auto" leaves them unchanged. */
  dtype: StorageDtype | Partial<DtypeByPart>;
  /**
   * Whether the weights are written as they are on the GPU, one range with a hash for each layer (false). The header of a file has the hashes of
   * its layers, so these are packed twice, first for the hashes.
   */
  packed?: boolean;
  /** An existing device, used for quantisation. */
  device?: Device;
  /** Maximum size of a weights file in bytes; 5 GB if not given. */
  shardBytes?: number;
  signal?: AbortSignal | undefined;
  /** LoRA adapters that are merged into the weights, as when loading. */
  adapter?: AdapterLocations | undefined;
}

/** An opened checkpoint, and what its layers request in the storage dtypes of a conversion. */
export interface ConversionSource {
  readonly files: CheckpointFiles;
  readonly config: LlavaOneVisionConfig;
  readonly index: TensorIndex;
  readonly device: Device;
  /** Has the requests of the model's layers, for memory that does not exist. */
  readonly loader: WeightLoader;
  readonly shardBytes: number;
  /** Closes the files, and the device unless it was given. */
  close(): Promise<void>;
}

const SHARD_BYTES = 5e9;

/** Opens a checkpoint for a conversion; no weight is read. Throws as `LlavaOneVision.load` does. */
export async function openSource(location: CheckpointLocation, options: ConvertOptions): Promise<ConversionSource> {
  checkOptions("convertCheckpoint", options, [
    "dtype",
    "packed",
    "device",
    "shardBytes",
    "signal",
    "adapter",
    ...HUB_OPTIONS,
  ]);
  const dtype = dtypeByPart(options.dtype);
  const shardBytes = options.shardBytes ?? SHARD_BYTES;
  if (!(shardBytes > 0)) {
    const remedy = `leave it out for ${SHARD_BYTES}`;
    throw new OptionError({ where: "shardBytes", expected: "a number above 0", got: shown(shardBytes), remedy });
  }
  const files = await openCheckpoint(location, options);
  let device = options.device;
  let index: TensorIndex | undefined;
  const close = async (): Promise<void> => {
    await index?.close();
    if (!options.device) device?.dispose();
  };
  try {
    const configJson = await readFamily(files);
    device ??= await Device.open();
    index = await files.tensors();
    if (options.adapter !== undefined) {
      const { layout } = await readConfig(files, configJson, index);
      ({ index } = await adaptedWeights(index, layout, options.adapter, true, options));
    }
    const config = await readConfig(files, configJson, index);
    const loader = new WeightLoader(device, index);
    // Runs the model's constructors, which determine the matrices and their storage dtypes.
    device.precompile(() => {
      new Network(loader.root(), config, dtype, loader.device.empty([3, 256], "f32", "levels"));
    });
    loader.check(files.name, (name) => config.layout.ignored(name));
    return { files, config, index, device, loader, shardBytes, close };
  } catch (cause) {
    await close();
    throw inCheckpoint(files.name, cause);
  }
}

/** Divides what is written into files of at most `most` bytes, or of one larger item. */
export function divide<T>(items: readonly T[], bytesOf: (item: T) => number, most: number): T[][] {
  const shards: T[][] = [[]];
  let bytes = 0;
  for (const item of items) {
    if (bytes > 0 && bytes + bytesOf(item) > most) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(item);
    bytes += bytesOf(item);
  }
  return shards;
}

/** Returns the name of a file of weights. */
export function shardName(i: number, count: number): string {
  const number = (n: number): string => String(n).padStart(5, "0");
  return count === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(count)}.safetensors`;
}

/** Returns the text of the index of several files. `names`: the tensors of each. */
export function shardIndex(names: readonly (readonly string[])[], totalBytes: number): string {
  const weightMap = Object.fromEntries(
    names.flatMap((own, i) => own.map((name) => [name, shardName(i, names.length)])),
  );
  return `${JSON.stringify({ metadata: { total_size: totalBytes }, weight_map: weightMap }, undefined, 2)}\n`;
}
