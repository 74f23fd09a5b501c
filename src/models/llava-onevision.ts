import { unlessAborted } from "../base/abort.js";
import { DisposedError, OptionError } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import { type CheckpointLocation, openCheckpoint } from "../io/checkpoint.js";
import type { PictureInput } from "../io/picture-input.js";
import type { LoadProgress } from "../layers/weights.js";
import { Arena } from "../runtime/arena.js";
import { Device } from "../runtime/device.js";
import type { TrainingRecord } from "../training/samples.js";
import type { SessionOptions } from "./chat/conversation.js";
import type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "./chat/embeddings.js";
import type { ModelInternals, OwnedSession } from "./chat/model-internals.js";
import { Recovery } from "./chat/recovery.js";
import { Session } from "./chat/session.js";
import type { LlavaOneVisionConfig } from "./llava-onevision/config.js";
import { readFamily } from "./llava-onevision/family.js";
import type { VideoContent } from "./llava-onevision/processor.js";
import type { Stage } from "./llava-onevision/qwen2.js";
import { inCheckpoint } from "./llava-onevision/read-config.js";
import { checkLoadOptions, type LoadOptions } from "./load-options.js";
import {
  type LoadedParts,
  lastingSignal,
  loadParts,
  readSource,
  releaseParts,
  shed,
  type WeightsSource,
} from "./loaded-parts.js";
import type { Estimate, EstimateOptions } from "./sizing/estimate.js";
import type { BudgetPlan } from "./sizing/memory-budget.js";
import type { TrainOptions } from "./training-options.js";
import type { TrainingStep } from "./training-step.js";

export type { LoadOptions } from "./load-options.js";

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
  readonly #source: WeightsSource;
  /** Replaced by a reload. */
  #parts: LoadedParts;
  #replacing: Promise<void> | undefined;
  #disposed = false;

  private constructor(source: WeightsSource, parts: LoadedParts, recovery: Recovery) {
    // JavaScript knows no private constructors.
    if (!(parts?.arena instanceof Arena)) {
      throw new OptionError({
        where: "new LlavaOneVision",
        expected: "a call of LlavaOneVision.load",
        got: "the constructor",
        remedy: "await LlavaOneVision.load(location, options)",
      });
    }
    this.#source = source;
    this.#parts = parts;
    const current = (): LoadedParts => this.#parts;
    const replacing = (): Promise<void> | undefined => this.#replacing;
    const { config, processor, cacheType } = source;
    const sessions = new Set<OwnedSession>();
    this.internals = {
      config,
      processor,
      cacheType,
      sessions,
      recovery,
      check: () => this.#check(),
      get device() {
        return current().device;
      },
      get network() {
        return current().network;
      },
      get visionCache() {
        return current().visionCache;
      },
      get kvPool() {
        return current().kvPool;
      },
      get prefixCache() {
        return current().prefixCache;
      },
      get adapters() {
        return current().adapters;
      },
      get batching() {
        return current().batching;
      },
      get reloading() {
        return replacing();
      },
      reloadLost: (onProgress) => this.#replace(undefined, onProgress),
      shed: () => shed(current(), sessions),
    };
  }

  /** The device that the model computes on; another one after a reload. */
  get device(): Device {
    return this.internals.device;
  }

  /** The devices that the decoder's layers are on; the first is `device`. */
  get devices(): readonly Device[] {
    return this.internals.network.language.stages.map(({ device }) => device);
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
    checkLoadOptions(options);
    const { memoryBudget, weights = "resident", devices, hostBudget } = options;
    let stages: readonly Stage[] = [];
    if (devices !== undefined) {
      const { checkDevices, stagesOn } = await import("./sizing/device-shares.js");
      checkDevices(devices, { ...options });
      stages = await stagesOn(location, devices, options);
    }
    let within: BudgetPlan = { plan: undefined, cacheRows: undefined };
    if (memoryBudget !== undefined || weights !== "resident" || hostBudget !== undefined) {
      const { planWithin } = await import("./sizing/memory-budget.js");
      within = await planWithin(location, memoryBudget, weights, options);
    }
    const loading = lastingSignal(options.signal);
    const recovery = new Recovery(options.onDeviceLost === "reload");
    const { signal } = loading.controller;
    const given = stages[0]?.device ?? options.device;
    let device = given;
    let name: string | undefined;
    try {
      const files = await openCheckpoint(location, { ...options, signal });
      name = files.name;
      const configJson = await readFamily(files);
      device ??= await Device.open();
      const source = await readSource(files, configJson, loading.controller, options, within, stages.slice(1));
      const parts = await recovery.load(() => {
        const opened = device;
        device = undefined;
        return loadParts(source, given, options.onProgress, opened);
      });
      return new LlavaOneVision(source, parts, recovery);
    } catch (cause) {
      if (!given) device?.dispose();
      throw name === undefined ? cause : inCheckpoint(name, cause);
    } finally {
      loading.end();
    }
  }

  /**
   * Opens an adapter and a device anew and loads the weights again, from where they came from, after a loss of the device or to move to
   * another. Sessions keep their conversations and compute their KV caches again at the next use. Answers that are running end with
   * DeviceLostError, or continue with `onDeviceLost: "reload"`. `device`: the next one, required if `load` was given one.
   * Throws what `load` throws; the model can be reloaded again.
   */
  async reload(options: Pick<LoadOptions, "device" | "signal" | "onProgress"> = {}): Promise<void> {
    const where = "model.reload";
    checkOptions(where, options, ["device", "signal", "onProgress"]);
    this.#check();
    this.internals.network.checkOneDevice(where);
    const { device, signal, onProgress } = options;
    if ((device === undefined) === this.#parts.ownsDevice) {
      await unlessAborted(this.#replace(device, onProgress), signal, where);
      return;
    }
    throw new OptionError({
      where: `${where}, device`,
      expected: device ? "none, since `load` opened the device" : "a Device, since `load` was given one",
      got: device ? "one" : "none",
      remedy: device ? "leave it out" : "pass Device.from(gpuDevice)",
    });
  }

  /** Replaces the parts on the device; calls that come together share one load. */
  #replace(device: Device | undefined, onProgress?: (progress: LoadProgress) => void): Promise<void> {
    this.#replacing ??= this.#loadOthers(device, onProgress).finally(() => {
      this.#replacing = undefined;
    });
    return this.#replacing;
  }

  /** Frees the parts on the device, then loads others. */
  async #loadOthers(device: Device | undefined, onProgress?: (progress: LoadProgress) => void): Promise<void> {
    const old = this.#parts;
    if (old.ownsDevice) {
      // Answers that are running find the device lost, not disposed.
      old.device.gpu.destroy();
      await old.device.gpu.lost;
    }
    releaseParts(old);
    const parts = await loadParts(this.#source, device, onProgress);
    if (this.#disposed) releaseParts(parts);
    else this.#parts = parts;
    this.#check();
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

  /**
   * Fine-tunes the model in place, step by step, on conversations whose last message is the answer: an adapter (LoRA, over weights of any
   * dtype), the projector, other parts, or all (in f32). Each step is made when it is requested; `break` ends the run. A new adapter stays
   * with the model, as "trained". A reload of the model loads the weights as they were. Throws OptionError, PromptError, MediaError,
   * SourceError, ContextOverflowError, AbortedError.
   * @example
   * ```ts
   * const image = "part.jpg";
   * const data = [{ messages: [
   *   { role: "user", content: [{ type: "image", image }, { type: "text", text: "Which part is this?" }] },
   *   { role: "assistant", content: "A hinge." },
   * ] }] as const;
   * for await (const { step, loss } of model.train(data, { steps: 100 })) console.log(step, loss);
   * ```
   */
  async *train(
    data: readonly TrainingRecord[],
    options: TrainOptions = {},
  ): AsyncGenerator<TrainingStep, void, undefined> {
    this.#check();
    const { trainingSteps } = await import("./training.js");
    yield* trainingSteps({ internals: this.internals, source: this.#source, arena: this.#parts.arena }, data, options);
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
    // Ends a reload.
    this.#source.loading.abort();
    for (const session of this.internals.sessions) session[Symbol.dispose]();
    releaseParts(this.#parts);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
