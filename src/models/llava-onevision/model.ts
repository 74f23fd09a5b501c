import {
  type CheckpointFiles,
  type CheckpointLocation,
  HUB_OPTIONS,
  type HubOptions,
  openCheckpoint,
} from "../../io/checkpoint.js";
import { Tokenizer } from "../../io/tokenizer.js";
import { type HoldType, type LoadProgress, WeightLoader } from "../../io/weights.js";
import type { CacheType } from "../../kernels/cached.js";
import type { RowPiece } from "../../kernels/resample.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { Arena } from "../../runtime/arena.js";
import { Device } from "../../runtime/device.js";
import { CheckpointError, DisposedError, OptionError, throwIfAborted } from "../../runtime/errors.js";
import { checkOptions } from "../../runtime/options.js";
import type { Tensor } from "../../runtime/tensor.js";
import { Projector } from "../projector.js";
import { Qwen2 } from "../qwen2.js";
import { Session } from "../session.js";
import { SigLIP } from "../siglip.js";
import { type LlavaOneVisionConfig, parseConfig } from "./config.js";
import { packFeatures } from "./encode.js";
import { Processor, type Segment } from "./processor.js";
import { ChatTemplate, placeholderIds } from "./prompt.js";

/** Those of {@link HubOptions} count for a hub id (`org/name`) only. */
export interface LoadOptions extends HubOptions {
  /** A device that the program already has; it is not disposed with the model. */
  device?: Device;
  signal?: AbortSignal;
  onProgress?: (progress: LoadProgress) => void;
  /** How weights are held: "auto" as stored, or by part. Fewer bits are smaller and faster, and less exact. */
  dtype?: HoldType | Partial<DtypeByPart>;
  /**
   * How sessions hold keys and values; "auto" is f32. In f16 a cache takes half the memory, in q8 about a quarter, and intermediates
   * differ from the reference's by up to a thousandth (f16).
   */
  cacheDtype?: CacheType | "auto";
}

/** The parts of the model whose weights may be held differently; `embed` is the embedding table and the head. */
export interface DtypeByPart {
  vision: HoldType;
  projector: HoldType;
  language: HoldType;
  embed: HoldType;
}

const HOLD_TYPES: readonly HoldType[] = ["auto", "f32", "f16", "bf16", "q8", "q4"];

const CACHE_TYPES: readonly CacheType[] = ["f32", "f16", "q8"];

/** Bytes of activations that one vision batch may have in its widest tensor. */
const VISION_BATCH_BYTES = 128 * 1024 * 1024;
/** Rows of the sequence that pass through the decoder at once. */
const PREFILL_ROWS = 1024;

/** LLaVA-OneVision on a device: SigLIP, projector and Qwen2, with the checkpoint's own tokenizer and chat template. */
export class LlavaOneVision {
  #disposed = false;

  private constructor(
    readonly device: Device,
    readonly config: LlavaOneVisionConfig,
    readonly processor: Processor,
    readonly vision: SigLIP,
    readonly projector: Projector,
    readonly language: Qwen2,
    /** `[1, D]`: ends a row of visual tokens, a padded picture and a clip. */
    readonly newline: Tensor,
    readonly cacheType: CacheType,
    private readonly arena: Arena,
    private readonly ownsDevice: boolean,
  ) {}

  /**
   * Loads a checkpoint folder, hub id, URL or list of files.
   * Throws CheckpointError, SourceError, NoAdapterError, LimitError, AbortedError; what was taken is then given back.
   */
  static async load(location: CheckpointLocation, options: LoadOptions = {}): Promise<LlavaOneVision> {
    checkOptions("LlavaOneVision.load", options, [
      "device",
      "signal",
      "onProgress",
      "dtype",
      "cacheDtype",
      ...HUB_OPTIONS,
    ]);
    const files = await openCheckpoint(location, options);
    const device = options.device ?? (await Device.open());
    try {
      return await build(files, device, options);
    } catch (cause) {
      if (!options.device) device.dispose();
      throw inCheckpoint(files.name, cause);
    }
  }

  /** For `build` alone. */
  static from(parts: {
    device: Device;
    config: LlavaOneVisionConfig;
    processor: Processor;
    vision: SigLIP;
    projector: Projector;
    language: Qwen2;
    newline: Tensor;
    cacheType: CacheType;
    arena: Arena;
    ownsDevice: boolean;
  }): LlavaOneVision {
    const { device, config, processor, vision, projector, language, newline, cacheType, arena, ownsDevice } = parts;
    return new LlavaOneVision(
      device,
      config,
      processor,
      vision,
      projector,
      language,
      newline,
      cacheType,
      arena,
      ownsDevice,
    );
  }

  /** A conversation with its own cache. Dispose it, or dispose the model. */
  createSession(): Session {
    this.check();
    const session = new Session(this);
    this.#sessions.add(session);
    return session;
  }

  readonly #sessions = new Set<Session>();

  /** Tiles that pass through the vision tower at once. */
  get tilesPerBatch(): number {
    const { vision, text } = this.config;
    const widest = Math.max(vision.mlpWidth, 3 * vision.width, 3 * vision.patchSide ** 2 + 8, text.width);
    const limit = Math.min(VISION_BATCH_BYTES, this.device.facts.maxBindingBytes);
    return Math.max(1, Math.floor(limit / (vision.cells ** 2 * widest * 4)));
  }

  /** Rows that pass through the decoder at once. */
  get rowsPerChunk(): number {
    const { text } = this.config;
    const widest = Math.max(2 * text.mlpWidth, (text.heads + 2 * text.keyValueHeads) * text.headSize);
    return Math.max(1, Math.min(PREFILL_ROWS, Math.floor(this.device.facts.maxBindingBytes / (widest * 4))));
  }

  /** Tiles `[n, S, S, 3]` RGB8 to projected features `[n·P, D]`. Synchronous; call in an owner of memory. */
  project(tiles: Uint8Array, count: number): Tensor {
    const { tileSide } = this.config.vision;
    return this.device.scope(() => {
      const pixels = this.device.upload(tiles, [count, tileSide, tileSide, 3], "pixels");
      return this.projector.forward(this.vision.forward(pixels));
    });
  }

  /** The visual tokens `[M, D]` of a segment from its projected features. */
  pack(features: readonly RowPiece[], segment: Segment): Tensor {
    return this.device.scope(() => packFeatures(features, this.newline, segment.plan));
  }

  /**
   * Embeds rows `first` to `first + ids.length` of the sequence and runs the decoder over them.
   * `visual`: visual tokens with the row of the sequence at which they begin. Result: hidden `[T, D]`.
   */
  decode(ids: Uint32Array, first: number, visual: readonly RowPiece[], cache: KVCache): Tensor {
    const { device } = this;
    const rowBytes = this.config.text.width * 4;
    return device.scope(() => {
      // Placeholder ids may lie outside the table; their rows are written over.
      const known = ids.map((id) => Math.min(id, this.config.text.vocabulary - 1));
      const x = this.language.embedding.forward(device.upload(known, [ids.length], "ids")); // [T, D]
      for (const { first: start, tensor } of visual) {
        const from = Math.max(start, first);
        const to = Math.min(start + tensor.size(0), first + ids.length);
        if (from < to)
          device.copy(tensor, (from - start) * rowBytes, x, (from - first) * rowBytes, (to - from) * rowBytes);
      }
      device.tap?.("embeddings", x);
      return this.language.forward(x, cache);
    });
  }

  /** `decode`, then the logits `[1, V]` of its last row. */
  next(ids: Uint32Array, first: number, visual: readonly RowPiece[], cache: KVCache): Tensor {
    const { device } = this;
    const rowBytes = this.config.text.width * 4;
    return device.scope(() => {
      const hidden = this.decode(ids, first, visual, cache); // [T, D]
      const last = device.empty([1, this.config.text.width], "f32", "last row");
      device.copy(hidden, (ids.length - 1) * rowBytes, last, 0, rowBytes);
      return this.language.logits(last); // [1, V]
    });
  }

  /** The logits `[1, V]` after one more token, whose id `[1]` u32 is on the device; the cache then holds the token. */
  step(token: Tensor, cache: KVCache): Tensor {
    const { language } = this;
    return this.device.scope(() => language.logits(language.forward(language.embedding.forward(token), cache)));
  }

  /** Throws DisposedError after `dispose`. */
  check(): void {
    if (!this.#disposed) return;
    throw new DisposedError({
      where: "LlavaOneVision",
      expected: "a loaded model",
      got: "a disposed one",
      remedy: "load it again",
    });
  }

  forget(session: Session): void {
    this.#sessions.delete(session);
  }

  /** Gives back the weights, every session's cache, and the device if `load` opened it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const session of this.#sessions) session.dispose();
    this.arena.dispose();
    if (this.ownsDevice) this.device.dispose();
    else this.device.pool.trim();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function build(files: CheckpointFiles, device: Device, options: LoadOptions): Promise<LlavaOneVision> {
  const [
    configJson,
    preprocessor,
    processorJson,
    generation,
    tokenizerJson,
    tokenizerConfig,
    addedTokens,
    jinja,
    json,
  ] = await Promise.all([
    files.json("config.json"),
    files.json("preprocessor_config.json"),
    files.json("processor_config.json"),
    files.json("generation_config.json"),
    files.json("tokenizer.json"),
    files.json("tokenizer_config.json"),
    files.json("added_tokens.json"),
    files.text("chat_template.jinja"),
    files.json("chat_template.json"),
  ]);
  if (configJson === undefined) throw missing(files.name, "config.json");
  if (tokenizerJson === undefined) throw missing(files.name, "tokenizer.json");
  const index = await files.tensors();
  const arena = device.arena("model");
  try {
    const config = parseConfig(configJson, {
      preprocessor,
      processor: processorJson,
      generation,
      tensorShapes: index.shapes,
    });
    const tokenizer = new Tokenizer({ tokenizer: tokenizerJson, tokenizerConfig, addedTokens });
    const template = ChatTemplate.fromCheckpoint({ ...(jinja !== undefined && { jinja }), json, tokenizerConfig });
    const ids = placeholderIds(tokenizer, {
      imageTokenIndex: config.imageTokenId,
      videoTokenIndex: config.videoTokenId,
    });
    const processor = new Processor(config, tokenizer, template, ids);
    throwIfAborted(options.signal, "loading");
    const dtype = dtypeByPart(options.dtype);
    const cacheType = cacheTypeGiven(options.cacheDtype);
    const loader = new WeightLoader(device, index);
    const model = arena.run(() => {
      const { layout } = config;
      const root = loader.root();
      const levels = device.upload(processor.levels, [3, 256], "levels");
      const head = layout.head === undefined ? undefined : { weights: root.holding(dtype.embed), name: layout.head };
      const language = root.at(layout.language);
      return LlavaOneVision.from({
        device,
        config,
        processor,
        vision: new SigLIP(root.at(layout.vision).holding(dtype.vision), config.vision, levels),
        projector: new Projector(
          root.holding(dtype.projector),
          layout.projector,
          config.vision.width,
          config.text.width,
        ),
        language: new Qwen2(language.holding(dtype.language), language.holding(dtype.embed), head, config.text),
        newline: root.tensor(layout.newline, [config.text.width]).view([1, config.text.width]),
        cacheType,
        arena,
        ownsDevice: options.device === undefined,
      });
    });
    loader.check(files.name, (name) => config.layout.ignored(name));
    await loader.load({ signal: options.signal, onProgress: options.onProgress });
    return model;
  } catch (cause) {
    arena.dispose();
    device.pool.trim();
    throw cause;
  } finally {
    await index.close();
  }
}

/** The dtype of each part; throws OptionError for an unknown part or type. */
function dtypeByPart(dtype: LoadOptions["dtype"] = "auto"): DtypeByPart {
  const byPart = typeof dtype === "object" && dtype !== null ? dtype : undefined;
  // Anything that is neither a name nor an object is no name either, and refused below.
  const all = byPart ? "auto" : (dtype as HoldType);
  const parts = { vision: all, projector: all, language: all, embed: all };
  checkOptions("dtype", byPart ?? {}, Object.keys(parts));
  for (const [part, type] of Object.entries(byPart ?? {})) {
    if (type !== undefined) parts[part as keyof DtypeByPart] = type;
  }
  for (const [part, type] of Object.entries(parts)) {
    if (HOLD_TYPES.includes(type)) continue;
    throw new OptionError({
      where: `dtype of ${part}`,
      expected: HOLD_TYPES.join(", "),
      got: String(type),
      remedy: "leave it out to hold weights as stored",
    });
  }
  return parts;
}

/** The type asked for; throws OptionError for an unknown one. */
function cacheTypeGiven(given: LoadOptions["cacheDtype"] = "auto"): CacheType {
  if (given === "auto") return "f32";
  if (CACHE_TYPES.includes(given)) return given;
  throw new OptionError({
    where: "cacheDtype",
    expected: ["auto", ...CACHE_TYPES].join(", "),
    got: String(given),
    remedy: "leave it out for f32",
  });
}

function missing(name: string, file: string): CheckpointError {
  return new CheckpointError({
    where: name,
    expected: file,
    got: "no such file",
    remedy: "give the folder of a LLaVA-OneVision checkpoint, with its config, tokenizer and safetensors files",
  });
}

/** Parsers know their file's name only; the reader wants to know which checkpoint's. */
function inCheckpoint(name: string, cause: unknown): unknown {
  if (!(cause instanceof CheckpointError) || cause.fault.where.includes(name)) return cause;
  return new CheckpointError({ ...cause.fault, where: `${name}: ${cause.fault.where}` });
}
