import {
  type CheckpointLocation,
  type DownloadSize,
  HUB_OPTIONS,
  type HubOptions,
  openCheckpoint,
} from "../../io/checkpoint.js";
import type { StorageDtype } from "../../io/weights.js";
import type { CacheType } from "../../kernels/kv-format.js";
import { WANTED } from "../../runtime/adapter.js";
import type { Device } from "../../runtime/device.js";
import type { DryRunFacts } from "../../runtime/dry-run-gpu.js";
import { elementCount } from "../../runtime/dtype.js";
import { OptionError, shown } from "../../runtime/errors.js";
import { checkOptions } from "../../runtime/options.js";
import { cacheTypeGiven } from "./cache-dtype.js";
import { type DtypeByPart, dtypeByPart } from "./dtype-by-part.js";
import { readFamily } from "./family.js";
import { type BytesByPart, type Described, footprint, neededBinding, type Use } from "./footprint.js";
import { inCheckpoint, VISION_CACHE_BYTES } from "./model.js";
import { CONFIG_FILES, readConfig } from "./read-config.js";

/** Those of loading have the meaning they have there. Those of {@link HubOptions} count for a hub id (`org/name`) only. */
export interface EstimateOptions extends HubOptions {
  dtype?: StorageDtype | Partial<DtypeByPart>;
  cacheDtype?: CacheType | "auto";
  /** Tokens of prompt and answer together; 8,192 if not given, or what the model holds if that is less. */
  contextTokens?: number;
  /**
   * Tiles of one picture or frames of one clip, at most; as many as the checkpoint cuts a picture into if not given. 0 for text
   * alone. Other pictures of the prompt count by their visual tokens, which may fill the context.
   */
  tiles?: number;
  visionCacheBytes?: number;
  /** Whose limits the model keeps to; without one, those of an adapter that allows what is needed. Nothing is computed on it. */
  device?: Device;
  signal?: AbortSignal;
}

/** What a model will take. All sizes are in bytes. */
export interface Estimate {
  /** All files that loading reads; `missingBytes` of them are not in the cache folder yet, or are never kept (URLs, browsers). */
  readonly download: DownloadSize;
  /** Elements of all tensors that inference reads. */
  readonly parameters: number;
  /** On the adapter: packed, padded, and with the tables that are computed. */
  readonly weights: BytesByPart;
  readonly weightsBytes: number;
  /** Keys and values of one session that holds `contextTokens`. */
  readonly cacheBytes: number;
  /** Visual tokens of pictures seen before, which the model keeps at most. */
  readonly visionCacheBytes: number;
  /**
   * At most what one question takes beside that: the vision tower, the prompt's chunks, an answer's steps, and the buffers that
   * are kept for the next ones. Questions of other lengths leave other buffers, of which up to 512 MiB are kept.
   */
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** What the numbers before are for. */
  readonly contextTokens: number;
  readonly tiles: number;
  /** Of one medium of so many tiles. */
  readonly visualTokens: number;
  /** What an adapter must allow at least. WebGPU promises 134,217,728 and 268,435,456. */
  readonly limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number };
  /** `needed`: none. `useful`: used where the adapter has them. */
  readonly features: { readonly needed: readonly GPUFeatureName[]; readonly useful: readonly GPUFeatureName[] };
}

/** Enough for a picture of the most tiles and a long answer. */
const CONTEXT_TOKENS = 8192;

/** A GPU that allows every size. */
const ANY_GPU: DryRunFacts = {
  vendor: "",
  architecture: "",
  description: "any GPU",
  onCPU: false,
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  f16: false,
  maxBindingBytes: Number.MAX_SAFE_INTEGER,
  maxBufferBytes: Number.MAX_SAFE_INTEGER,
  maxWorkgroupBytes: 16384,
  immediateBytes: 0,
};

/**
 * What a checkpoint will take, before it is loaded: reads config files and the headers of the weights, nothing else, and needs no
 * adapter. `weightsBytes` is exact for an adapter with the limits of `device`.
 * Throws CheckpointError, SourceError, OptionError, AbortedError.
 */
export async function estimate(location: CheckpointLocation, options: EstimateOptions = {}): Promise<Estimate> {
  checkOptions("estimate", options, [
    "dtype",
    "cacheDtype",
    "contextTokens",
    "tiles",
    "visionCacheBytes",
    "device",
    "signal",
    ...HUB_OPTIONS,
  ]);
  return inspect(location, options, (subject) => {
    const { described, dtype, use, facts, download } = subject;
    const { config, index } = described;
    const binding = neededBinding(described, dtype, use, facts);
    const found = footprint(described, dtype, use, atLeast(facts, binding));
    const { weights, cacheBytes, visionCacheBytes, activationBytes, tiles, visualTokens } = found;
    const weightsBytes = total(weights);
    let parameters = 0;
    for (const [name, shape] of index.shapes) if (!config.layout.ignored(name)) parameters += elementCount(shape);
    return {
      download,
      parameters,
      weights,
      weightsBytes,
      cacheBytes,
      visionCacheBytes,
      activationBytes,
      totalBytes: weightsBytes + cacheBytes + visionCacheBytes + activationBytes,
      contextTokens: use.contextTokens,
      tiles,
      visualTokens,
      limits: { maxStorageBufferBindingSize: binding, maxBufferSize: binding },
      features: { needed: [], useful: WANTED },
    };
  });
}

/** A checkpoint, and how it is to be held and used. */
export interface Subject {
  readonly described: Described;
  readonly dtype: DtypeByPart;
  readonly use: Use;
  readonly facts: DryRunFacts;
  readonly download: DownloadSize;
}

/** Opens a checkpoint for its headers, and closes it after `work`. */
export async function inspect<T>(
  location: CheckpointLocation,
  options: Omit<EstimateOptions, "onDownload">,
  work: (subject: Subject) => T,
): Promise<T> {
  const dtype = dtypeByPart(options.dtype);
  const cacheType = cacheTypeGiven(options.cacheDtype);
  const files = await openCheckpoint(location, { ...options, inspect: true });
  try {
    const configJson = await readFamily(files);
    const index = await files.tensors();
    try {
      const config = await readConfig(files, configJson, index, options.contextTokens);
      const contextTokens = options.contextTokens ?? Math.min(CONTEXT_TOKENS, config.text.maxPositions);
      const download = await files.downloadSize(CONFIG_FILES, index);
      return work({
        described: { name: files.name, index, config },
        dtype,
        use: {
          cacheType,
          contextTokens,
          tiles: tilesGiven(options.tiles),
          visionCacheBytes: options.visionCacheBytes ?? VISION_CACHE_BYTES,
        },
        facts: options.device?.facts ?? ANY_GPU,
        download,
      });
    } finally {
      await index.close();
    }
  } catch (cause) {
    throw inCheckpoint(files.name, cause);
  }
}

/** The facts of an adapter that allows bindings of `binding` bytes. */
export function atLeast(facts: DryRunFacts, binding: number): DryRunFacts {
  return {
    ...facts,
    maxBindingBytes: Math.max(facts.maxBindingBytes, binding),
    maxBufferBytes: Math.max(facts.maxBufferBytes, binding),
  };
}

export function total(weights: BytesByPart): number {
  return Object.values(weights).reduce((sum, bytes) => sum + bytes, 0);
}

function tilesGiven(tiles: number | undefined): number {
  if (tiles === undefined) return Number.POSITIVE_INFINITY;
  if (Number.isInteger(tiles) && tiles >= 0) return tiles;
  throw new OptionError({
    where: "tiles",
    expected: "a whole number, 0 or above",
    got: shown(tiles),
    remedy: "leave it out for the most tiles of a picture",
  });
}
