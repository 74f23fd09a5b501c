import { DisposedError, OptionError, shown, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import {
  type CheckpointFiles,
  type CheckpointLocation,
  HUB_OPTIONS,
  type HubOptions,
  openCheckpoint,
} from "../io/checkpoint.js";
import type { PictureInput } from "../io/picture-input.js";
import type { JsonValue } from "../io/text.js";
import type { CacheType } from "../kernels/kv-format.js";
import { Adapters } from "../layers/low-rank.js";
import { type LoadProgress, type StorageDtype, WeightLoader } from "../layers/weights.js";
import { Arena } from "../runtime/arena.js";
import { Device } from "../runtime/device.js";
import type { SessionOptions } from "./chat/conversation.js";
import type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "./chat/embeddings.js";
import type { ModelInternals } from "./chat/model-internals.js";
import { Session } from "./chat/session.js";
import type { AdapterLocations } from "./llava-onevision/adapted-weights.js";
import { cacheTypeGiven } from "./llava-onevision/cache-dtype.js";
import type { LlavaOneVisionConfig } from "./llava-onevision/config.js";
import { type DtypeByPart, dtypeByPart } from "./llava-onevision/dtype-by-part.js";
import { readFamily } from "./llava-onevision/family.js";
import { Network } from "./llava-onevision/network.js";
import { Processor, type VideoContent } from "./llava-onevision/processor.js";
import { placeholderIds } from "./llava-onevision/prompt.js";
import { inCheckpoint, readConfig } from "./llava-onevision/read-config.js";
import { VISION_CACHE_BYTES, VisionCache } from "./llava-onevision/vision-cache.js";
import type { Estimate, EstimateOptions } from "./sizing/estimate.js";
import type { MemoryBudget } from "./sizing/memory-budget.js";
import { warmUp } from "./warm-up.js";

/** Options of loading. {@link HubOptions} apply to hub ids (`org/name`) only. */
export interface LoadOptions extends HubOptions {
  /** An existing device; it is not disposed with the model. */
  device?: Device;
  signal?: AbortSignal | undefined;
  onProgress?: (progress: LoadProgress) => void;
  /**
   * Storage dtype of the weights, for all or by part; "auto" is the checkpoint's. Fewer bits are smaller and faster, but less
   * precise.
   */
  dtype?: StorageDtype | Partial<DtypeByPart>;
  /**
   * Storage dtype of the KV cache; "auto" is f32. f16 halves its memory, with intermediates that differ from the reference's by up to
   * a thousandth; q8 quarters it.
   */
  cacheDtype?: CacheType | "auto";
  /** Maximum sequence length of a session, prompt and answer; the checkpoint's maximum if not given. */
  contextTokens?: number;
  /**
   * Maximum bytes on the adapter for the model, one session of `contextTokens` (at most 8,192 if not given) and a question about a
   * picture of the maximum number of tiles, or of `tiles`, as {@link LlavaOneVision.estimate} computes them. Loading fails with
   * OverBudgetError before anything is downloaded.
   */
  memoryBudget?: number | MemoryBudget;
  /**
   * Maximum size in bytes of the vision cache, which keeps visual tokens while there are sessions; 256 MiB if not given, 0
   * disables it.
   */
  visionCacheBytes?: number;
  /**
   * LoRA adapters in PEFT's format (arXiv 2106.09685): a folder, hub id or URL, or several with names and weights. What they add to the
   * decoder's layers stays apart from the weights, and sessions select it (`createSession({ adapters })`); additions to the vision tower
   * and the projector, and whole modules (`modules_to_save`), are merged into the weights.
   */
  adapter?: AdapterLocations | undefined;
  /** Whether adapters are merged into the weights altogether, which costs nothing in use (false). */
  mergeAdapters?: boolean | undefined;
}

/**
 * LLaVA-OneVision on a device: SigLIP, projector and Qwen2, with the checkpoint's own tokenizer and chat template.
 * @example
 * ```ts
 * const model = await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", { dtype: "q8" });
 * const session = model.createSession();
 * const answer = session.generate([{ type: "image", image: "photo.jpg" }, { type: "text", text: "What is this?" }]);
 * for await (const { text } of answer) console.log(text);
 * model.dispose();
 * ```
 */
export class LlavaOneVision {
  /** @internal */
  readonly internals: ModelInternals;
  readonly #arena: Arena;
  readonly #ownsDevice: boolean;
  #disposed = false;

  private constructor(parts: Omit<ModelInternals, "sessions" | "check">, arena: Arena, ownsDevice: boolean) {
    // JavaScript knows no private constructors.
    if (!(arena instanceof Arena)) {
      throw new OptionError({
        where: "new LlavaOneVision",
        expected: "a call of LlavaOneVision.load",
        got: "the constructor",
        remedy: "await LlavaOneVision.load(location, options)",
      });
    }
    this.internals = { ...parts, sessions: new Set(), check: () => this.#check() };
    this.#arena = arena;
    this.#ownsDevice = ownsDevice;
  }

  /** The device that the model computes on. */
  get device(): Device {
    return this.internals.device;
  }

  /** Names of the adapters that sessions can select. */
  get adapters(): readonly string[] {
    return this.internals.adapters;
  }

  /** The checkpoint's configuration: sizes of the vision tower and of the language model. */
  get config(): LlavaOneVisionConfig {
    return this.internals.config;
  }

  /**
   * Loads a checkpoint folder, hub id, URL or list of files.
   * Throws CheckpointError, SourceError, NoRoomError, OptionError, OverBudgetError, NoAdapterError, LimitError, AbortedError, after
   * freeing what was allocated.
   */
  static async load(location: CheckpointLocation, options: LoadOptions = {}): Promise<LlavaOneVision> {
    checkOptions("LlavaOneVision.load", options, [
      "device",
      "signal",
      "onProgress",
      "dtype",
      "cacheDtype",
      "contextTokens",
      "memoryBudget",
      "visionCacheBytes",
      "adapter",
      "mergeAdapters",
      ...HUB_OPTIONS,
    ]);
    const { visionCacheBytes, device: given } = options;
    if (given !== undefined && !(given instanceof Device)) {
      throw new OptionError({
        where: "LlavaOneVision.load, device",
        expected: "a Device",
        got: shown(given),
        remedy: "leave it out for WebGPU's own choice, or pass Device.from(gpuDevice) of ocellus/tensor",
      });
    }
    if (visionCacheBytes !== undefined && !(visionCacheBytes >= 0)) {
      throw new OptionError({
        where: "LlavaOneVision.load, visionCacheBytes",
        expected: "a number of bytes, 0 or above",
        got: shown(visionCacheBytes),
        remedy: "leave it out for 256 MiB",
      });
    }
    if (options.memoryBudget !== undefined) {
      const { checkBudget } = await import("./sizing/memory-budget.js");
      await checkBudget(location, options.memoryBudget, options);
    }
    const files = await openCheckpoint(location, options);
    let device = options.device;
    try {
      const configJson = await readFamily(files);
      device ??= await Device.open();
      return await LlavaOneVision.#build(files, configJson, device, options);
    } catch (cause) {
      if (!options.device) device?.dispose();
      throw inCheckpoint(files.name, cause);
    }
  }

  static async #build(
    files: CheckpointFiles,
    configJson: JsonValue,
    device: Device,
    options: LoadOptions,
  ): Promise<LlavaOneVision> {
    const [tokenizerJson, tokenizerConfig, addedTokens, jinja, json] = await Promise.all([
      files.json("tokenizer.json"),
      files.json("tokenizer_config.json"),
      files.json("added_tokens.json"),
      files.text("chat_template.jinja"),
      files.json("chat_template.json"),
    ]);
    if (tokenizerJson === undefined) throw await files.missing("tokenizer.json");
    const arena = device.arena("model");
    let index = await files.tensors();
    let adapters = new Adapters();
    try {
      const config = await readConfig(files, configJson, index, options.contextTokens);
      if (options.adapter !== undefined) {
        const { adaptedWeights } = await import("./llava-onevision/adapted-weights.js");
        const { adapter, mergeAdapters = false } = options;
        ({ index, adapters } = await adaptedWeights(index, config.layout, adapter, mergeAdapters, options));
      }
      const { Tokenizer } = await import("../io/tokenizer.js");
      const tokenizer = new Tokenizer({ tokenizer: tokenizerJson, tokenizerConfig, addedTokens });
      const { templateFromCheckpoint } = await import("./llava-onevision/jinja-template.js");
      const template = templateFromCheckpoint({ ...(jinja !== undefined && { jinja }), json, tokenizerConfig });
      const ids = placeholderIds(tokenizer, {
        imageTokenIndex: config.imageTokenId,
        videoTokenIndex: config.videoTokenId,
      });
      const processor = new Processor(config, tokenizer, template, ids);
      throwIfAborted(options.signal, "loading");
      const dtype = dtypeByPart(options.dtype);
      const cacheType = cacheTypeGiven(options.cacheDtype);
      const loader = new WeightLoader(device, index, adapters);
      const network = arena.run(() => {
        const levels = device.upload(processor.levels, [3, 256], "levels");
        return new Network(loader.root(), config, dtype, levels);
      });
      loader.check(files.name, (name) => config.layout.ignored(name));
      // On CPU adapters compilation would compete with reading and packing the weights.
      if (!device.facts.onCPU) warmUp(network, cacheType);
      await loader.load({ signal: options.signal, onProgress: options.onProgress });
      await device.prepared();
      const ownsDevice = options.device === undefined;
      const visionCache = new VisionCache(device, options.visionCacheBytes ?? VISION_CACHE_BYTES);
      const parts = { device, config, processor, network, cacheType, visionCache, adapters: adapters.names };
      return new LlavaOneVision(parts, arena, ownsDevice);
    } catch (cause) {
      arena.dispose();
      device.pool.trim();
      throw cause;
    } finally {
      await index.close();
    }
  }

  /**
   * Estimates memory and download size of a checkpoint from its headers, by a dry run without an adapter.
   * Throws CheckpointError, SourceError, OptionError, AbortedError.
   */
  static async estimate(location: CheckpointLocation, options: EstimateOptions = {}): Promise<Estimate> {
    const { estimate } = await import("./sizing/estimate.js");
    return estimate(location, options);
  }

  /** Creates a conversation with its own KV cache. Dispose it, or dispose the model. Throws OptionError for an unknown option. */
  createSession(options: SessionOptions = {}): Session {
    this.#check();
    return Session.create(this.internals, options);
  }

  /**
   * Computes embeddings of a picture: SigLIP's features `[N·P, 1152]` or the projected visual tokens `[M, D]`, and their mean.
   * Throws MediaError, SourceError, OptionError, AbortedError.
   */
  async embedImage(image: PictureInput, options: EmbedMediaOptions = {}): Promise<MediaEmbedding> {
    const { embedMedia } = await import("./chat/embeddings.js");
    return embedMedia(this.internals, { type: "image", image }, options);
  }

  /** The same for a clip's frames; `video` selects them like a message part. */
  async embedVideo(video: Omit<VideoContent, "type">, options: EmbedMediaOptions = {}): Promise<MediaEmbedding> {
    const { embedMedia } = await import("./chat/embeddings.js");
    return embedMedia(this.internals, { ...video, type: "video" }, options);
  }

  /**
   * Computes the embedding `[D]` of a text, or of each of several: hidden states after the final norm, pooled.
   * Throws PromptError for an empty text, ContextOverflowError, OptionError, AbortedError.
   */
  embedText(text: string, options?: EmbedTextOptions): Promise<Float32Array>;
  embedText(texts: readonly string[], options?: EmbedTextOptions): Promise<Float32Array[]>;
  async embedText(
    text: string | readonly string[],
    options: EmbedTextOptions = {},
  ): Promise<Float32Array | Float32Array[]> {
    const { embedTexts } = await import("./chat/embeddings.js");
    if (Array.isArray(text)) return embedTexts(this.internals, text, options);
    return (await embedTexts(this.internals, [text as string], options))[0]!;
  }

  #check(): void {
    if (!this.#disposed) return;
    throw new DisposedError({
      where: "LlavaOneVision",
      expected: "a loaded model",
      got: "a disposed one",
      remedy: "load it again",
    });
  }

  /** Frees the weights, the KV caches of all sessions, and the device if `load` opened it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { sessions, visionCache } = this.internals;
    for (const session of sessions) session[Symbol.dispose]();
    visionCache.dispose();
    this.#arena.dispose();
    if (this.#ownsDevice) this.device.dispose();
    else this.device.pool.trim();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
