import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import type { RowPiece } from "../../kernels/resample.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import { FeaturePacking } from "../llava-onevision/pack-features.js";
import type { PassOptions as LayerPassOptions } from "../llava-onevision/pass-options.js";
import type { PreparedMedium, Segment } from "../llava-onevision/processor.js";
import type { AnswerProgress } from "./answer.js";
import type { DeviceParts, ModelInternals } from "./model-internals.js";
import type { Sequence } from "./sequence.js";
import type { TapRecorder } from "./taps.js";

export interface PassOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: AnswerProgress) => void) | undefined;
  readonly taps?: TapRecorder | undefined;
  /** Throws if its session was disposed. */
  readonly check?: (() => void) | undefined;
}

/** One forward pass over a prompt: the pictures' visual tokens, then the decoder over the rows that are not cached. */
export class PromptPass {
  /** Visual tokens with the row of the sequence at which they begin. */
  readonly visual: RowPiece[] = [];
  /** Keys of visual tokens found in the vision cache. */
  readonly #taken: string[] = [];
  /** Visual tokens computed by this pass, by their keys. */
  readonly #made = new Map<string, Tensor>();
  /** Tiles encoded by the vision tower. */
  tiles = 0;
  /** The parts on the device at the beginning: another call may reload the model meanwhile. */
  readonly on: DeviceParts;
  readonly #faults: number;
  readonly #losses: number;

  constructor(
    readonly model: ModelInternals,
    readonly prompt: Sequence,
    /** Owns what the pass allocates. */
    readonly owner: Arena,
    readonly options: PassOptions,
  ) {
    const { device, network, visionCache, kvPool, prefixCache, batching, adapters } = model;
    this.on = { device, network, visionCache, kvPool, prefixCache, batching, adapters };
    this.#faults = device.faults;
    this.#losses = kvPool.losses;
  }

  /** Throws if the session or the model was disposed, or if the device reported an error or cached rows were lost since the pass began. */
  check(): void {
    this.options.check?.();
    this.model.check();
    this.on.device.check(this.#faults);
    this.on.kvPool.check(this.#losses);
  }

  /** Looks up or computes the visual tokens of every medium that extends beyond row `from` of the sequence. */
  async encodeMedia(from: number): Promise<void> {
    await this.#besideOthers(() => this.#encode(from));
  }

  /** Does the work of a prompt; sequences that generate read their steps back one by one meanwhile, so that it waits for few of them. */
  async #besideOthers<T>(work: () => Promise<T>): Promise<T> {
    const end = this.on.batching.prompt();
    try {
      return await work();
    } finally {
      end();
    }
  }

  async #encode(from: number): Promise<void> {
    const media = this.prompt.media.filter((medium) => medium.start + medium.tokens > from);
    const places = media.flatMap((medium) => {
      let first = medium.start;
      return medium.segments.map((segment) => {
        const place = { first, segment };
        first += segment.plan.tokens;
        return place;
      });
    });
    const known = places.map(({ segment }) => this.#known(segment));
    const unknown = new Set(places.filter((_, i) => !known[i]).map(({ segment }) => segment.key));
    const total = places.reduce((sum, { segment }) => sum + (unknown.delete(segment.key) ? segment.tileCount : 0), 0);
    if (total > 0) this.#report("vision", 0, total);
    for (const [i, { first, segment }] of places.entries()) {
      const tensor = known[i] ?? this.#made.get(segment.key) ?? (await this.#segment(segment, total));
      this.visual.push({ first, tensor });
    }
    await this.#settled("vision");
  }

  /** Yields the vision tower's features, before the projector: `[n·P, 1152]` for each batch of n tiles. */
  async *features(): AsyncGenerator<Tensor, void, undefined> {
    const segments = this.prompt.media.flatMap(({ segments }) => segments);
    const total = segments.reduce((sum, { tileCount }) => sum + tileCount, 0);
    for (const segment of segments) {
      for (const { tiles, count } of this.#batches(segment)) {
        throwIfAborted(this.options.signal, "vision");
        const tensor = await this.on.network.see("features", tiles, count, this.#passOptions("vision"));
        await this.#settled("vision");
        this.tiles += count;
        this.#report("vision", this.tiles, total);
        yield tensor;
      }
    }
  }

  /** The tiles of a segment, in batches that fit a binding. */
  *#batches({ tiles, tileCount }: Segment): Generator<{ first: number; count: number; tiles: Uint8Array }> {
    const { network, batching } = this.on;
    const tileBytes = tiles.length / tileCount;
    for (let first = 0, count = 0; first < tileCount; first += count) {
      // One at a time beside sequences that generate: their tokens wait for no more.
      count = batching.busy ? 1 : Math.min(network.tilesPerBatch, tileCount - first);
      yield { first, count, tiles: tiles.subarray(first * tileBytes, (first + count) * tileBytes) };
    }
  }

  /** Cached visual tokens of a segment; with taps everything is recomputed. */
  #known(segment: Segment): Tensor | undefined {
    if (this.options.taps) return undefined;
    const tensor = this.on.visionCache.take(segment.key);
    if (tensor) this.#taken.push(segment.key);
    return tensor;
  }

  /** Computes the visual tokens `[M, D]` of a segment, in batches of tiles. */
  async #segment(segment: Segment, total: number): Promise<Tensor> {
    const { model, owner } = this;
    const patches = model.config.vision.cells ** 2;
    const packing = owner.run(() => new FeaturePacking(this.on.network.newline, segment.plan));
    for (let first = 0, count = 0; first < segment.tileCount; first += count) {
      throwIfAborted(this.options.signal, "vision");
      const tensor = await this.on.batching.share.piece(async () => {
        const tensor = await this.#project(segment, first);
        await this.#settled("vision");
        return tensor;
      });
      count = tensor.size(0) / patches;
      owner.run(() => packing.add({ first: first * patches, tensor }));
      tensor.dispose();
      this.tiles += count;
      this.#report("vision", this.tiles, total);
    }
    const packed = owner.run(() => packing.finish());
    this.#tapped(() => this.on.device.tap?.("packed", packed));
    this.#made.set(segment.key, packed);
    return packed;
  }

  /** Projected features `[n·P, D]` of tiles of a segment from tile `first` on, in a batch with those of other requests. */
  async #project({ tiles, tileCount }: Segment, first: number): Promise<Tensor> {
    const { model, owner, options } = this;
    const { network, batching } = this.on;
    const count = tileCount - first;
    const rest = tiles.subarray((first * tiles.length) / tileCount);
    const { taps } = options;
    if (!taps) {
      const { signal } = options;
      const vision = await batching.vision();
      return unlessAborted(vision.project(rest, count, owner, signal), signal, "vision");
    }
    // Taps have the tiles of this prompt only.
    const own = Math.min(network.tilesPerBatch, count);
    const batch = rest.subarray(0, (own * rest.length) / count);
    taps.add("tiles", model.config.vision.tileSide, Promise.resolve(model.processor.normalised(batch)));
    return network.see("project", batch, own, this.#passOptions("vision"));
  }

  /** Prefills rows `from` to the end. Returns the logits `[1, V]` of the last row. */
  prefill(from: number, cache: KVCache): Promise<Tensor> {
    return this.#besideOthers(() => this.#prefill(from, cache));
  }

  async #prefill(from: number, cache: KVCache): Promise<Tensor> {
    const ids = Uint32Array.from(this.prompt.inputIds);
    const { network } = this.on;
    if (network.waits) {
      const hidden = await this.#through(from, ids.length, cache);
      const logits = await network.waitedLastLogits(hidden.at(-1)!, this.#passOptions("prefill"));
      for (const chunk of hidden) chunk.dispose();
      this.#dropLarge();
      return logits;
    }
    const rows = this.#rowsPerChunk;
    const last = from + Math.floor((ids.length - from - 1) / rows) * rows;
    await this.fill(from, last, cache);
    throwIfAborted(this.options.signal, "prefill");
    this.#report("prefill", last - from, ids.length - from);
    const logits = this.owner.run(() => this.#tapped(() => network.next(ids.subarray(last), last, this.visual, cache)));
    this.#dropLarge();
    return logits;
  }

  /** Frees visual tokens that are too large for the vision cache; the decoder has consumed them. */
  #dropLarge(): void {
    for (const [key, tensor] of this.#made) {
      if (tensor.sizeBytes <= this.on.visionCache.mostBytes) continue;
      this.#made.delete(key);
      tensor.dispose();
    }
  }

  /** Fewer beside sequences that generate: a step of theirs waits for one chunk. */
  get #rowsPerChunk(): number {
    const { network, batching } = this.on;
    return batching.busy ? Math.min(batching.prefillRows, network.rowsPerChunk) : network.rowsPerChunk;
  }

  /** Prefills rows `from` to `to` into the KV cache, without logits. */
  async fill(from: number, to: number, cache: KVCache): Promise<void> {
    const { device, network, batching } = this.on;
    if (network.waits) {
      for (const chunk of await this.#through(from, to, cache)) chunk.dispose();
      return;
    }
    const ids = Uint32Array.from(this.prompt.inputIds).subarray(0, to);
    for (let first = from, rows = 0; first < to; first += rows) {
      throwIfAborted(this.options.signal, "prefill");
      this.#report("prefill", first - from, this.prompt.inputIds.length - from);
      rows = this.#rowsPerChunk;
      const chunk = ids.subarray(first, first + rows);
      await batching.share.piece(() => {
        this.owner.run(() =>
          this.#tapped(() => device.scope(() => void network.decode(chunk, first, this.visual, cache))),
        );
        return this.#settled("prefill");
      });
    }
  }

  /** Prefills rows `from` to `to` where a pass has to wait. Returns their hidden states in chunks. */
  #through(from: number, to: number, cache: KVCache): Promise<Tensor[]> {
    const total = this.prompt.inputIds.length - from;
    this.#report("prefill", 0, total);
    const ids = Uint32Array.from(this.prompt.inputIds).subarray(from, to);
    return this.on.network.passPrompt(ids, from, this.visual, cache, {
      ...this.#passOptions("prefill"),
      onLayer: (done, layers) => this.#report("prefill", Math.floor(((to - from) * done) / layers), total),
    });
  }

  #passOptions(where: AnswerProgress["stage"]): LayerPassOptions {
    return {
      owner: this.owner,
      where,
      signal: this.options.signal,
      check: () => this.check(),
      around: (work) => this.#tapped(work),
    };
  }

  /** Moves the computed visual tokens to the vision cache, after success. */
  keep(): void {
    for (const [key, tensor] of this.#made) this.on.visionCache.keep(key, tensor);
  }

  /** Releases the visual tokens taken from the vision cache. */
  end(): void {
    for (const key of this.#taken.splice(0)) this.on.visionCache.release(key);
  }

  async #settled(stage: string): Promise<void> {
    await unlessAborted(this.on.device.sync(), this.options.signal, stage);
    this.check();
  }

  #report(stage: AnswerProgress["stage"], done: number, total: number): void {
    this.options.onProgress?.({ stage, done, total });
  }

  #tapped<T>(work: () => T): T {
    return this.options.taps ? this.options.taps.during(work) : work();
  }
}

/** The sequence in a session's KV cache: token ids, and the media among them. */
export class CachedPrefix {
  constructor(
    readonly ids: readonly number[] = [],
    readonly media: readonly PreparedMedium[] = [],
  ) {}

  /** Length of the common prefix of `prompt` and the first `length` cached rows. At least one row is left to compute. */
  common(prompt: Sequence, length: number): number {
    const limit = Math.min(length, prompt.inputIds.length - 1);
    let same = 0;
    while (same < limit && this.ids[same] === prompt.inputIds[same]) same++;
    for (const medium of prompt.media) {
      if (medium.start >= same) break;
      const cached = this.media.find((m) => m.start === medium.start);
      if (cached?.key !== medium.key) return medium.start;
    }
    return same;
  }
}
