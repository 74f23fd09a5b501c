import { OptionError, shown } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import {
  type CheckpointLocation,
  type DownloadSize,
  HUB_OPTIONS,
  type HubOptions,
  openCheckpoint,
} from "../../io/checkpoint.js";
import type { CacheType } from "../../kernels/kv-format.js";
import type { StorageDtype } from "../../layers/weights.js";
import { WANTED } from "../../runtime/adapter.js";
import type { Device } from "../../runtime/device.js";
import type { DryRunFacts } from "../../runtime/dry-run-gpu.js";
import { elementCount } from "../../runtime/dtype.js";
import { cacheTypeGiven } from "../llava-onevision/cache-dtype.js";
import { type DtypeByPart, dtypeByPart } from "../llava-onevision/dtype-by-part.js";
import { readFamily } from "../llava-onevision/family.js";
import type { ModelPlan } from "../llava-onevision/model-plan.js";
import { CONFIG_FILES, inCheckpoint, readConfig } from "../llava-onevision/read-config.js";
import { VISION_CACHE_BYTES } from "../llava-onevision/vision-cache.js";
import {
  type BytesByPart,
  type Described,
  type Footprint,
  footprint,
  LEAST_PLAN,
  neededBinding,
  STREAMING_PLANS,
  type Use,
} from "./footprint.js";
import {
  measuredRate,
  type PlanSize,
  planWithinBytes,
  type StreamingEstimate,
  streamedRanges,
} from "./streaming-estimate.js";

/** Options shared with `load` have the same meaning. {@link HubOptions} apply to hub ids (`org/name`) only. */
export interface EstimateOptions extends HubOptions {
  dtype?: StorageDtype | Partial<DtypeByPart>;
  cacheDtype?: CacheType | "auto";
  /** Tokens of prompt and answer together; 8,192 if not given, or the model's context length if less. */
  contextTokens?: number;
  /**
   * Maximum tiles of one picture or frames of one clip; the checkpoint's maximum for a picture if not given, 0 for text only. Further
   * pictures of the prompt count by their visual tokens, which may fill the context.
   */
  tiles?: number;
  visionCacheBytes?: number;
  /** Bytes on the adapter within which layers stay there, if the others stream. */
  memoryBudget?: number;
  /** Bytes per second at which the checkpoint is read; "measured" reads for up to two seconds. For `streaming.readSeconds`. */
  readBytesPerSecond?: number | "measured";
  /** The device whose limits apply; without one, no limits are assumed. It is not used for computation. */
  device?: Device;
  signal?: AbortSignal | undefined;
}

/** Memory and download size of a model. All sizes are in bytes. */
export interface Estimate {
  /** All files that loading reads; `missingBytes` of them are not cached. */
  readonly download: DownloadSize;
  /** Parameter count: elements of all tensors that inference uses. */
  readonly parameters: number;
  /** Packed weights on the adapter, with padding and computed tables. */
  readonly weights: BytesByPart;
  readonly weightsBytes: number;
  /** KV cache of one session of `contextTokens`. */
  readonly cacheBytes: number;
  /** Maximum size of the vision cache. */
  readonly visionCacheBytes: number;
  /**
   * Peak of all other buffers during one question: vision tower, prefill chunks, decode steps, and pooled buffers. Questions of other
   * lengths leave further buffers in the pool, up to 512 MiB.
   */
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** The same where the decoder's layers stream. */
  readonly streaming: StreamingEstimate;
  /** The context length that the numbers above assume. */
  readonly contextTokens: number;
  readonly tiles: number;
  /** Visual tokens of one medium of `tiles` tiles. */
  readonly visualTokens: number;
  /** Minimum adapter limits. WebGPU guarantees 134,217,728 and 268,435,456. */
  readonly limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number };
  /** `needed`: none. `useful`: optional features, used if available. */
  readonly features: { readonly needed: readonly GPUFeatureName[]; readonly useful: readonly GPUFeatureName[] };
}

/** Enough for a picture of the maximum number of tiles and a long answer. */
const CONTEXT_TOKENS = 8192;

/** A GPU without limits. */
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
 * Estimates the memory of a checkpoint from its config files and the headers of its weights, by a dry run on a mock GPU; no adapter is
 * needed. `weightsBytes` is exact for an adapter with the limits of `device`.
 * Throws CheckpointError, SourceError, OptionError, AbortedError.
 */
export async function estimate(location: CheckpointLocation, options: EstimateOptions = {}): Promise<Estimate> {
  checkOptions("estimate", options, [
    "dtype",
    "cacheDtype",
    "contextTokens",
    "tiles",
    "visionCacheBytes",
    "memoryBudget",
    "readBytesPerSecond",
    "device",
    "signal",
    ...HUB_OPTIONS,
  ]);
  checkAboveZero("memoryBudget", options.memoryBudget);
  if (options.readBytesPerSecond !== "measured") checkAboveZero("readBytesPerSecond", options.readBytesPerSecond);
  return inspect(location, options, async (subject) => {
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
      streaming: await streaming(subject, atLeast(facts, binding), options),
      contextTokens: use.contextTokens,
      tiles,
      visualTokens,
      limits: { maxStorageBufferBindingSize: binding, maxBufferSize: binding },
      features: { needed: [], useful: WANTED },
    };
  });
}

/** The estimate where layers stream. */
async function streaming(
  { described, dtype, use }: Subject,
  facts: DryRunFacts,
  { memoryBudget = 0, readBytesPerSecond, signal }: EstimateOptions,
): Promise<StreamingEstimate> {
  const { index, config } = described;
  const { layers } = config.text;
  const sizeOf = (plan: ModelPlan): PlanSize => {
    const found = footprint(described, dtype, { ...use, plan }, facts);
    return { ...found, totalBytes: bytesOf(found) };
  };
  const sizes = STREAMING_PLANS.map(sizeOf);
  const plan =
    planWithinBytes(memoryBudget, layers, STREAMING_PLANS, (plan) => sizes[STREAMING_PLANS.indexOf(plan)]!) ??
    LEAST_PLAN;
  const ranges = streamedRanges(index, config, plan);
  const readBytes = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const rate = readBytesPerSecond === "measured" ? await measuredRate(ranges, signal) : readBytesPerSecond;
  return {
    leastBytes: Math.min(...sizes.map(({ totalBytes }) => totalBytes)),
    layerBytes: sizes[0]!.layerBytes,
    layers,
    residentLayers: plan.resident,
    everything: plan.everything !== undefined,
    readBytes,
    ...(rate !== undefined && { readSeconds: readBytes / rate }),
  };
}

/** A checkpoint, with its storage dtypes and usage. */
export interface Subject {
  readonly described: Described;
  readonly dtype: DtypeByPart;
  readonly use: Use;
  readonly facts: DryRunFacts;
  readonly download: DownloadSize;
}

/** Opens a checkpoint's headers for `work`, and closes it. */
export async function inspect<T>(
  location: CheckpointLocation,
  options: Omit<EstimateOptions, "onDownload" | "memoryBudget">,
  work: (subject: Subject) => T | Promise<T>,
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
      return await work({
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

/** Raises the binding limit of the facts to at least `binding` bytes. */
export function atLeast(facts: DryRunFacts, binding: number): DryRunFacts {
  return {
    ...facts,
    maxBindingBytes: Math.max(facts.maxBindingBytes, binding),
    maxBufferBytes: Math.max(facts.maxBufferBytes, binding),
  };
}

/** All bytes of a footprint. */
export function bytesOf({ weights, cacheBytes, visionCacheBytes, activationBytes }: Footprint): number {
  return total(weights) + cacheBytes + visionCacheBytes + activationBytes;
}

export function total(weights: BytesByPart): number {
  return Object.values(weights).reduce((sum, bytes) => sum + bytes, 0);
}

function checkAboveZero(name: string, given: number | undefined): void {
  if (given === undefined || (given > 0 && Number.isFinite(given))) return;
  throw new OptionError({
    where: `estimate, ${name}`,
    expected: "a number of bytes above 0",
    got: shown(given),
    remedy: "leave it out",
  });
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
