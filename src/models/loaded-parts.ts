import { throwIfAborted } from "../base/errors.js";
import type { CheckpointFiles, HubOptions, TensorIndex } from "../io/checkpoint.js";
import type { JsonValue } from "../io/text.js";
import type { CacheType } from "../kernels/kv-format.js";
import { KVPool } from "../layers/kv-pool.js";
import { Adapters } from "../layers/low-rank.js";
import { type LoadProgress, type StorageDtype, WeightLoader } from "../layers/weights.js";
import type { Arena } from "../runtime/arena.js";
import { Device } from "../runtime/device.js";
import { Batching } from "./chat/batching.js";
import type { DeviceParts, OwnedSession } from "./chat/model-internals.js";
import { PREFIX_CACHE_BYTES, PrefixCache } from "./chat/prefix-cache.js";
import type { AdapterLocations } from "./llava-onevision/adapted-weights.js";
import { cacheTypeGiven } from "./llava-onevision/cache-dtype.js";
import type { LlavaOneVisionConfig } from "./llava-onevision/config.js";
import { type DtypeByPart, dtypeByPart } from "./llava-onevision/dtype-by-part.js";
import type { ModelPlan } from "./llava-onevision/model-plan.js";
import { Network } from "./llava-onevision/network.js";
import { Processor } from "./llava-onevision/processor.js";
import { placeholderIds } from "./llava-onevision/prompt.js";
import type { Stage } from "./llava-onevision/qwen2.js";
import { readConfig } from "./llava-onevision/read-config.js";
import { VISION_CACHE_BYTES, VisionCache } from "./llava-onevision/vision-cache.js";
import type { BudgetPlan } from "./sizing/memory-budget.js";

/** Where the weights of a model come from, and what of it stays in host memory: everything but the weights. */
export interface WeightsSource {
  readonly files: CheckpointFiles;
  readonly config: LlavaOneVisionConfig;
  readonly processor: Processor;
  readonly dtype: DtypeByPart;
  readonly cacheType: CacheType;
  readonly visionCacheBytes: number;
  readonly prefixCacheBytes: number;
  readonly prefillRows: number | undefined;
  readonly prefillMs: number | undefined;
  /** Which layers of the decoder stay on the device; undefined for all. */
  readonly plan: ModelPlan | undefined;
  /** Rows of the KV caches of all sessions; undefined for as many as fit. */
  readonly cacheRows: number | undefined;
  /** Most bytes on a device of the model's own. */
  readonly budgetBytes: number;
  /** Devices that have the last layers of the decoder, after the first device's. */
  readonly others: readonly Stage[];
  /** Ends loading and reloading. */
  readonly loading: AbortController;
  /** Opens the adapters; undefined without any. */
  readonly adapted: ((index: TensorIndex) => Promise<{ index: TensorIndex; adapters: Adapters }>) | undefined;
  /** The index of the weights, open for the first load. */
  index: TensorIndex | undefined;
}

/** Options of loading that a model keeps; see LoadOptions. */
export interface SourceOptions {
  readonly dtype?: StorageDtype | Partial<DtypeByPart>;
  readonly cacheDtype?: CacheType | "auto";
  readonly contextTokens?: number;
  readonly visionCacheBytes?: number;
  readonly prefixCacheBytes?: number;
  readonly prefillRows?: number;
  readonly prefillMs?: number;
  readonly memoryBudget?: number | { readonly bytes: number };
  readonly adapter?: AdapterLocations | undefined;
  readonly mergeAdapters?: boolean | undefined;
}

/** What a model has on its device. */
export interface LoadedParts extends DeviceParts {
  /** Owns the weights. */
  readonly arena: Arena;
  /** Own the weights on other devices. */
  readonly others: readonly Arena[];
  /** The weights, open where layers stream. */
  readonly index: TensorIndex;
  readonly ownsDevice: boolean;
}

/** Returns a controller that follows `signal` until `end`: what is opened with its signal is used again by reloads. */
export function lastingSignal(signal: AbortSignal | undefined): { controller: AbortController; end: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return { controller, end: () => signal?.removeEventListener("abort", abort) };
}

/** Reads config, tokenizer and chat template. Throws CheckpointError, SourceError, OptionError, AbortedError. */
export async function readSource(
  files: CheckpointFiles,
  configJson: JsonValue,
  loading: AbortController,
  options: SourceOptions & HubOptions,
  { plan, cacheRows }: BudgetPlan,
  others: readonly Stage[] = [],
): Promise<WeightsSource> {
  const [tokenizerJson, tokenizerConfig, addedTokens, jinja, json] = await Promise.all([
    files.json("tokenizer.json"),
    files.json("tokenizer_config.json"),
    files.json("added_tokens.json"),
    files.text("chat_template.jinja"),
    files.json("chat_template.json"),
  ]);
  if (tokenizerJson === undefined) throw await files.missing("tokenizer.json");
  const index = await files.tensors();
  try {
    const config = await readConfig(files, configJson, index, options.contextTokens);
    const { Tokenizer } = await import("../io/tokenizer.js");
    const tokenizer = new Tokenizer({ tokenizer: tokenizerJson, tokenizerConfig, addedTokens });
    const { templateFromCheckpoint } = await import("./llava-onevision/jinja-template.js");
    const template = templateFromCheckpoint({ ...(jinja !== undefined && { jinja }), json, tokenizerConfig });
    const ids = placeholderIds(tokenizer, {
      imageTokenIndex: config.imageTokenId,
      videoTokenIndex: config.videoTokenId,
    });
    throwIfAborted(loading.signal, "loading");
    const { adapter, mergeAdapters = false, memoryBudget = Number.POSITIVE_INFINITY } = options;
    const opening = { ...options, signal: loading.signal };
    return {
      files,
      config,
      processor: new Processor(config, tokenizer, template, ids),
      dtype: dtypeByPart(options.dtype),
      cacheType: cacheTypeGiven(options.cacheDtype),
      visionCacheBytes: options.visionCacheBytes ?? VISION_CACHE_BYTES,
      prefixCacheBytes: options.prefixCacheBytes ?? (options.memoryBudget === undefined ? PREFIX_CACHE_BYTES : 0),
      prefillRows: options.prefillRows,
      prefillMs: options.prefillMs,
      plan,
      cacheRows,
      budgetBytes: typeof memoryBudget === "object" ? memoryBudget.bytes : memoryBudget,
      others,
      loading,
      adapted:
        adapter === undefined
          ? undefined
          : async (index) => {
              const { adaptedWeights } = await import("./llava-onevision/adapted-weights.js");
              return adaptedWeights(index, config.layout, adapter, mergeAdapters, opening);
            },
      index,
    };
  } catch (cause) {
    await index.close();
    throw cause;
  }
}

/**
 * Loads the weights onto the given device, or onto a new one (`opened`, if the caller has opened it already). On failure everything is
 * freed. Throws CheckpointError, SourceError, NoAdapterError, LimitError, DeviceLostError, AbortedError.
 */
export async function loadParts(
  source: WeightsSource,
  given: Device | undefined,
  onProgress?: (progress: LoadProgress) => void,
  opened?: Device,
): Promise<LoadedParts> {
  const { files, config, processor, loading } = source;
  let index = source.index ?? (await files.tensors());
  source.index = undefined;
  let device = given ?? opened;
  let adapters = new Adapters();
  try {
    if (source.adapted) ({ index, adapters } = await source.adapted(index));
    device ??= await Device.open();
    if (!given) device.pool.mostBytes = source.budgetBytes;
    const arena = device.arena("model");
    const others = source.others.map((stage) => ({ ...stage, arena: stage.device.arena("model") }));
    if (others.length > 0) {
      for (const [i, one] of [device, ...others.map((stage) => stage.device)].entries()) {
        one.title = `devices[${i}], ${one.facts.name}`;
      }
    }
    const visionCache = new VisionCache(device, source.visionCacheBytes);
    let made: Network | undefined;
    try {
      const loader = new WeightLoader(device, index, adapters, source.plan?.hostCache);
      const network = arena.run(() => {
        const levels = device!.upload(processor.levels, [3, 256], "levels");
        const stages = others.map((stage) => ({ ...stage, weights: loader.beside(stage.device).root() }));
        return new Network(loader.root(), config, source.dtype, levels, source.plan, stages);
      });
      made = network;
      loader.check(files.name, (name) => config.layout.ignored(name));
      // On CPU adapters compilation would compete with reading and packing the weights.
      if (!device.facts.onCPU) {
        const { warmUp } = await import("./warm-up.js");
        warmUp(network, source.cacheType);
      }
      await loader.load({ signal: loading.signal, onProgress });
      await network.prepare(loading.signal);
      await device.prepared();
      // Layers that stream are read from it.
      if (!network.streams) await index.close();
      const batching = new Batching(network, source.prefillRows, source.prefillMs);
      const { layers, keyValueHeads, headSize } = config.text;
      const kvPool = new KVPool(device, layers, keyValueHeads * headSize, source.cacheType, source.cacheRows);
      return {
        device,
        network,
        visionCache,
        kvPool,
        prefixCache: new PrefixCache(kvPool, source.prefixCacheBytes),
        batching,
        // Training adds one.
        get adapters() {
          return adapters.names;
        },
        arena,
        others: others.map((stage) => stage.arena),
        index,
        ownsDevice: given === undefined,
      };
    } catch (cause) {
      await made?.close();
      freeAll([arena, ...others.map((stage) => stage.arena)]);
      throw cause;
    }
  } catch (cause) {
    if (!given) device?.dispose();
    await index.close();
    throw cause;
  }
}

/** Frees the weights and the visual tokens, and the device unless it was given. */
export function releaseParts(parts: LoadedParts): void {
  const { device, network, visionCache, prefixCache, arena, others, ownsDevice } = parts;
  visionCache.dispose();
  prefixCache.forget();
  const { index } = parts;
  const closed = network.close();
  if (network.streams) void closed.then(() => index.close());
  freeAll([arena, ...others]);
  if (ownsDevice) device.dispose();
}

function freeAll(arenas: readonly Arena[]): void {
  for (const arena of arenas) {
    arena.dispose();
    arena.device.pool.trim();
    arena.device.title = arena.device.facts.name;
  }
}

/** Frees what can be computed again and is not in use: visual tokens, cached prefixes, the KV caches of idle sessions, and free buffers. */
export async function shed(
  { device, network, visionCache, prefixCache }: LoadedParts,
  sessions: Iterable<OwnedSession>,
): Promise<void> {
  visionCache.clear();
  // The pool of keys and values may need some of it to become smaller.
  device.pool.trim();
  for (const session of sessions) session.releaseIdle();
  prefixCache.clear();
  for (const { device } of network.language.stages) {
    device.pool.trim();
    // Errors about the buffer that was refused end here.
    await device.sync().catch(() => {});
  }
}
