import type { RowPiece } from "../kernels/resample.js";
import type { KVCache } from "../layers/kv-cache.js";
import type { Arena } from "../runtime/arena.js";
import { throwIfAborted } from "../runtime/errors.js";
import type { Tensor } from "../runtime/tensor.js";
import type { LlavaOneVision } from "./llava-onevision/model.js";
import type { PreparedMedium, PreparedPrompt, Segment } from "./llava-onevision/processor.js";
import type { TapRecorder } from "./taps.js";

/** Where a running answer is. */
export interface AnswerProgress {
  readonly stage: "vision" | "prefill" | "decode";
  /** Tiles, rows of the prompt, or tokens. */
  readonly done: number;
  readonly total: number;
}

export interface PassOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: AnswerProgress) => void) | undefined;
  readonly taps?: TapRecorder | undefined;
}

/** One forward pass over a prompt: the pictures' visual tokens, then the decoder over the rows that the cache lacks. */
export class PromptPass {
  readonly #visual: RowPiece[] = [];

  constructor(
    readonly model: LlavaOneVision,
    readonly prompt: PreparedPrompt,
    /** Owns what the pass allocates. */
    readonly owner: Arena,
    readonly options: PassOptions,
  ) {}

  /** Computes the visual tokens of every medium that reaches beyond row `from` of the sequence. */
  async see(from: number): Promise<void> {
    const media = this.prompt.media.filter((medium) => medium.start + medium.tokens > from);
    const total = media.reduce((sum, medium) => sum + medium.tileCount, 0);
    let done = 0;
    for (const medium of media) {
      let first = medium.start;
      for (const segment of medium.segments) {
        const tensor = await this.#segment(segment, (tiles) => {
          done += tiles;
          this.options.onProgress?.({ stage: "vision", done, total });
        });
        this.#visual.push({ first, tensor });
        first += segment.plan.tokens;
      }
    }
    await this.model.device.sync();
  }

  /** The visual tokens `[M, D]` of a segment, its tiles in batches that fit. */
  async #segment(segment: Segment, seen: (tiles: number) => void): Promise<Tensor> {
    const { model, owner } = this;
    const tileBytes = segment.tiles.length / segment.tileCount;
    const patches = model.config.vision.cells ** 2;
    const features: RowPiece[] = [];
    for (let first = 0; first < segment.tileCount; first += model.network.tilesPerBatch) {
      throwIfAborted(this.options.signal, "vision");
      const count = Math.min(model.network.tilesPerBatch, segment.tileCount - first);
      const tiles = segment.tiles.subarray(first * tileBytes, (first + count) * tileBytes);
      this.options.taps?.add("tiles", model.config.vision.tileSide, Promise.resolve(model.processor.normalised(tiles)));
      const tensor = owner.run(() => this.#tapped(() => model.network.project(tiles, count)));
      features.push({ first: first * patches, tensor });
      await model.device.sync();
      model.check();
      seen(count);
    }
    const packed = owner.run(() => model.network.pack(features, segment.plan));
    this.#tapped(() => model.device.tap?.("packed", packed));
    for (const { tensor } of features) tensor.dispose();
    return packed;
  }

  /** Runs rows `from` to the end through the decoder; the logits `[1, V]` of the last row. */
  async prefill(from: number, cache: KVCache): Promise<Tensor> {
    const { model } = this;
    const ids = Uint32Array.from(this.prompt.inputIds);
    for (let first = from; ; first += model.network.rowsPerChunk) {
      throwIfAborted(this.options.signal, "prefill");
      const chunk = ids.subarray(first, first + model.network.rowsPerChunk);
      const isLast = first + chunk.length === ids.length;
      const logits = this.owner.run(() =>
        this.#tapped(() => {
          if (isLast) return model.network.next(chunk, first, this.#visual, cache);
          model.device.scope(() => void model.network.decode(chunk, first, this.#visual, cache));
          return undefined;
        }),
      );
      if (logits) {
        for (const { tensor } of this.#visual) tensor.dispose();
        return logits;
      }
      await model.device.sync();
      model.check();
      this.options.onProgress?.({ stage: "prefill", done: first + chunk.length, total: ids.length });
    }
  }

  #tapped<T>(work: () => T): T {
    return this.options.taps ? this.options.taps.during(work) : work();
  }
}

/** What a cache holds: the ids of its rows, and the media among them. */
export class Held {
  ids: number[] = [];
  media: readonly PreparedMedium[] = [];

  /** Rows that `prompt` has in common with the first `length` held ones. At least one row is left to compute. */
  common(prompt: PreparedPrompt, length: number): number {
    const limit = Math.min(length, prompt.inputIds.length - 1);
    let same = 0;
    while (same < limit && this.ids[same] === prompt.inputIds[same]) same++;
    for (const medium of prompt.media) {
      if (medium.start >= same) break;
      const held = this.media.find((m) => m.start === medium.start);
      if (held?.key !== medium.key) return medium.start;
    }
    return same;
  }
}
