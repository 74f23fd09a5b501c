import { OptionError } from "../../base/errors.js";
import type { CacheType } from "../../kernels/kv-format.js";
import type { RowPiece } from "../../kernels/resample.js";
import { DividedKVCache } from "../../layers/divided-kv-cache.js";
import { KVCache } from "../../layers/kv-cache.js";
import type { KVPool } from "../../layers/kv-pool.js";
import type { SequenceRows } from "../../layers/sequence-rows.js";
import type { ReadRows } from "../../layers/stored-rows.js";
import type { Weights } from "../../layers/weights.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { LlavaOneVisionConfig } from "./config.js";
import type { DtypeByPart } from "./dtype-by-part.js";
import type { ModelPlan } from "./model-plan.js";
import { packFeatures } from "./pack-features.js";
import type { PackingPlan } from "./packing.js";
import type { PassOptions } from "./pass-options.js";
import { Projector } from "./projector.js";
import { Qwen2, type StageWeights, type StreamingStore } from "./qwen2.js";
import { SigLIP } from "./siglip.js";

/** Maximum bytes of the widest activation of a vision batch. */
const VISION_BATCH_BYTES = 128 * 1024 * 1024;
/** Maximum rows per prefill chunk. */
const PREFILL_ROWS = 1024;

/**
 * The neural network of LLaVA-OneVision (arXiv 2408.03326):
 *
 *     v = pack(projector(vision(tiles)))       visual tokens [M, D]
 *     x = embedding(ids), with v in the rows of the placeholders   [T, D]
 *     logits = head(decoder(x)[T − 1])         [1, V]
 *
 * `features` to `pack` compute v, `decode` and `next` the rest; `step` is the same for one token. Independent of files and text.
 */
export class Network {
  readonly device: Device;
  readonly vision: SigLIP;
  readonly projector: Projector;
  readonly language: Qwen2;
  /** `[1, D]`, the learned newline embedding: ends a row of visual tokens, a padded picture and a clip. */
  readonly newline: Tensor;

  /**
   * `levels` `[3, 256]`: the normalised value of each level of each channel. `plan`: which layers of the decoder stay on the device. `others`:
   * the last layers on other devices, with a cursor at the top of the checkpoint.
   */
  constructor(
    root: Weights,
    readonly config: Pick<LlavaOneVisionConfig, "layout" | "vision" | "text">,
    dtype: DtypeByPart,
    levels: Tensor,
    plan?: ModelPlan,
    others: readonly StageWeights[] = [],
  ) {
    const { layout, vision, text } = config;
    this.device = root.device;
    const head = layout.head === undefined ? undefined : { weights: root.storedAs(dtype.embed), name: layout.head };
    const language = root.at(layout.language);
    const towerPlan = plan?.everything ? { ...plan, resident: 0 } : undefined;
    this.vision = new SigLIP(root.at(layout.vision).storedAs(dtype.vision), vision, levels, towerPlan);
    this.projector = new Projector(root.storedAs(dtype.projector), layout.projector, vision.width, text.width);
    const later = others.map((stage) => {
      return { ...stage, weights: stage.weights.at(layout.language).storedAs(dtype.language) };
    });
    const own = language.storedAs(dtype.language);
    try {
      this.language = new Qwen2(own, language.storedAs(dtype.embed), head, text, plan, later);
    } catch (cause) {
      // Its slots are not the current arena's.
      void this.vision.store.close();
      throw cause;
    }
    this.newline = root.tensor(layout.newline, [text.width]).view([1, text.width]);
  }

  /** Whether layers of the decoder pass through the device. */
  get streams(): boolean {
    return this.language.store.streams;
  }

  /** Whether a pass over the decoder has to wait, for layers that stream or for other devices: it is then `passPrompt` or `passRows`. */
  get waits(): boolean {
    return this.streams || this.language.stages.length > 1;
  }

  /** What passes through the device. */
  get stores(): readonly StreamingStore[] {
    return [...this.language.stores, this.vision.store];
  }

  /** Reads what the first passes begin with. Throws CheckpointError, SourceError, AbortedError. */
  async prepare(signal?: AbortSignal): Promise<void> {
    await this.language.tables?.rows.prepare(signal);
    for (const store of this.stores) await store.prepare(signal);
  }

  /** Frees the memory of what streams. Resolves when nothing is read any more. */
  async close(): Promise<void> {
    await Promise.all(this.stores.map((store) => store.close()));
  }

  /** Throws OptionError if the layers are on several devices, for what needs all of them on one. */
  checkOneDevice(where: string): void {
    const { length: devices } = this.language.stages;
    if (devices === 1) return;
    throw new OptionError({
      where,
      expected: "a model on one device",
      got: `one on ${devices}`,
      remedy: 'load it without `devices`; with a `memoryBudget` and weights "auto" if it is larger than the device',
    });
  }

  /**
   * Creates an empty KV cache for a sequence of at most `most` positions, in blocks of `pool`; where there are several devices, on each for
   * its layers.
   */
  cache(type: CacheType, most?: number, pool?: KVPool): KVCache {
    const { layers, keyValueHeads, headSize } = this.config.text;
    const width = keyValueHeads * headSize;
    const { stages } = this.language;
    if (stages.length === 1) return new KVCache(this.device, layers, width, type, most, pool);
    return new DividedKVCache(stages, width, type, most);
  }

  /** Tiles per vision batch. */
  get tilesPerBatch(): number {
    const { vision, text } = this.config;
    const widest = Math.max(vision.mlpWidth, 3 * vision.width, 3 * vision.patchSide ** 2 + 8, text.width);
    const limit = Math.min(VISION_BATCH_BYTES, this.device.facts.maxBindingBytes);
    return Math.max(1, Math.floor(limit / (vision.cells ** 2 * widest * 4)));
  }

  /** Rows per prefill chunk. */
  get rowsPerChunk(): number {
    const { text } = this.config;
    const widest = Math.max(2 * text.mlpWidth, (text.heads + 2 * text.keyValueHeads) * text.headSize);
    const limit = Math.min(...this.language.stages.map(({ device }) => device.facts.maxBindingBytes));
    return Math.max(1, Math.min(PREFILL_ROWS, Math.floor(limit / (widest * 4))));
  }

  /** Tiles `[n, S, S, 3]` RGB8 → features `[n·P, D_vision]`. Synchronous; call within an arena. */
  features(tiles: Uint8Array, count: number): Tensor {
    const { tileSide } = this.config.vision;
    return this.device.scope(() =>
      this.vision.forward(this.device.upload(tiles, [count, tileSide, tileSide, 3], "pixels")),
    );
  }

  /** Tiles `[n, S, S, 3]` RGB8 → projected features `[n·P, D]`. */
  project(tiles: Uint8Array, count: number): Tensor {
    return this.device.scope(() => this.projector.forward(this.features(tiles, count)));
  }

  /** Like `features` or `project`, waiting for layers of the tower that stream. Throws CheckpointError, SourceError, AbortedError. */
  async see(of: "features" | "project", tiles: Uint8Array, count: number, options: PassOptions): Promise<Tensor> {
    if (this.vision.store.streams) {
      const { passTower } = await import("./tower-pass.js");
      return passTower(this.vision, of === "project" ? this.projector : undefined, tiles, count, options);
    }
    const { owner, around = (work) => work() } = options;
    let seen: Tensor | undefined;
    around(() => {
      seen = owner.run(() => this[of](tiles, count));
    }, -1);
    return seen!;
  }

  /** Projected features `[n·P, D]` → visual tokens `[M, D]` of a segment. */
  pack(features: readonly RowPiece[], plan: PackingPlan): Tensor {
    return this.device.scope(() => packFeatures(features, this.newline, plan));
  }

  /**
   * Embeds rows `first` to `first + ids.length` of the sequence and runs the decoder over them.
   * `visual`: visual tokens with their start rows in the sequence. Returns hidden states `[T, D]`.
   */
  decode(ids: Uint32Array, first: number, visual: readonly RowPiece[], cache: KVCache): Tensor {
    return this.device.scope(() =>
      this.language.forward(this.embed(ids, first, visual), [{ cache, rows: ids.length }]),
    ); // [T, D]
  }

  /**
   * The decoder's input `[T, D]`: embeddings of rows `first` to `first + ids.length` of the sequence, and visual tokens among them. `read`: the rows
   * of `readRows`, where the table is not on the device.
   */
  embed(ids: Uint32Array, first: number, visual: readonly RowPiece[], read?: ReadRows): Tensor {
    const { device } = this;
    const rowBytes = this.config.text.width * 4;
    return device.scope(() => {
      // Placeholder ids may lie outside the table; their rows are overwritten.
      const known = ids.map((id) => Math.min(id, this.config.text.vocabulary - 1));
      const x = this.#embedded(known, read); // [T, D]
      for (const { first: start, tensor } of visual) {
        const from = Math.max(start, first);
        const to = Math.min(start + tensor.size(0), first + ids.length);
        if (from < to)
          device.copy(tensor, (from - start) * rowBytes, x, (from - first) * rowBytes, (to - from) * rowBytes);
      }
      device.tap?.("embeddings", x);
      return x;
    });
  }

  /** Embeddings `[T, D]`; of rows that are yet to be read only in a dry run. */
  #embedded(ids: Uint32Array, read: ReadRows | undefined): Tensor {
    const { tables, embedding } = this.language;
    if (!tables) return embedding.forward(this.device.upload(ids, [ids.length], "ids"));
    return read ? tables.rows.forward(read) : tables.rows.recorded(ids.length);
  }

  /** Like `decode`, then returns the logits `[1, V]` of the last row. */
  next(ids: Uint32Array, first: number, visual: readonly RowPiece[], cache: KVCache): Tensor {
    return this.device.scope(() => this.lastLogits(this.decode(ids, first, visual, cache)));
  }

  /** The logits `[1, V]` of the last row of hidden states `[T, D]`. */
  lastLogits(hidden: Tensor): Tensor {
    return this.device.scope(() => this.logits(this.#lastRow(hidden))); // [1, V]
  }

  /** The same where a pass has to wait. */
  async waitedLastLogits(hidden: Tensor, options: PassOptions): Promise<Tensor> {
    const { logitsOf } = await import("./waited-pass.js");
    const last = options.owner.run(() => this.#lastRow(hidden)); // [1, D]
    const logits = await logitsOf(this.language, last, options); // [1, V]
    last.dispose();
    return logits;
  }

  /** The last row `[1, D]` of hidden states `[T, D]`. */
  #lastRow(hidden: Tensor): Tensor {
    const { device } = this;
    const rowBytes = this.config.text.width * 4;
    const last = device.empty([1, this.config.text.width], "f32", "last row");
    device.copy(hidden, (hidden.size(0) - 1) * rowBytes, last, 0, rowBytes);
    return last;
  }

  /** hidden `[T, D]` → logits `[T, V]`; of blocks of a head that are yet to be read only in a dry run. */
  logits(hidden: Tensor): Tensor {
    return this.language.tables?.head.recorded(hidden) ?? this.language.logits(hidden);
  }

  /** One decode step: the logits `[1, V]` after a token whose id `[1]` u32 is on the device. Appends to the cache. */
  step(token: Tensor, cache: KVCache): Tensor {
    return this.stepAll(token, [{ cache, rows: 1 }]);
  }

  /**
   * The same for several sequences at once, which read the weights once: ids `[T]` u32 on the device, the rows of one sequence after the
   * other → logits `[T, V]`. Up to 16 rows have the numbers that each has alone. Appends to the caches, which have the same adapters.
   */
  stepAll(ids: Tensor, sequences: readonly SequenceRows[]): Tensor {
    const { language } = this;
    return this.device.scope(() => {
      const x = language.tables?.rows.recorded(ids.length) ?? language.embedding.forward(ids); // [T, D]
      return this.logits(language.forward(x, sequences)); // [T, V]
    });
  }

  /**
   * The logits `[T, V]` after each of up to 16 tokens of one sequence, the numbers of T steps. Appends to the cache. Synchronous unless a pass
   * has to wait.
   */
  async after(ids: Uint32Array, cache: KVCache, options: PassOptions): Promise<Tensor> {
    const rows = Array.from(ids, () => ({ cache, rows: 1 }));
    const upload = (): Tensor => this.device.upload(ids, [ids.length], "ids");
    if (this.waits) return this.passRows(upload, rows, options);
    return options.owner.run(() => this.device.scope(() => this.stepAll(upload(), rows)));
  }

  /** Like `stepAll` where a pass has to wait. `ids` is called when the pass begins. */
  async passRows(ids: () => Tensor, sequences: readonly SequenceRows[], options: PassOptions): Promise<Tensor> {
    const { passRows } = await import("./waited-pass.js");
    return passRows(this, ids, sequences, options);
  }

  /**
   * Like `decode` where a pass has to wait: ids of the rows from `first` on → hidden states `[T, D]` in chunks. Each layer is used once, over all
   * chunks.
   */
  async passPrompt(
    ids: Uint32Array,
    first: number,
    visual: readonly RowPiece[],
    cache: KVCache,
    options: PassOptions,
  ): Promise<Tensor[]> {
    const { passPrompt } = await import("./waited-pass.js");
    return passPrompt(this, ids, first, visual, cache, options);
  }
}
