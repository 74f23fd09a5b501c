import { TextStream } from "../io/detokenizer.js";
import { argmax } from "../kernels/argmax.js";
import type { RowPiece } from "../kernels/resample.js";
import { KVCache } from "../layers/kv-cache.js";
import { Arena } from "../runtime/arena.js";
import { ContextOverflowError, DisposedError, KernelError, OptionError, throwIfAborted } from "../runtime/errors.js";
import { checkOptions } from "../runtime/options.js";
import type { Tensor } from "../runtime/tensor.js";
import { Answer, type AnswerPiece, type AnswerResult } from "./answer.js";
import type { LlavaOneVision } from "./llava-onevision/model.js";
import type { ChatMessage, ImageMode, PreparedMedium, PreparedPrompt } from "./llava-onevision/processor.js";
import { type Tap, TapRecorder } from "./taps.js";

/** Where a running answer is. */
export interface AnswerProgress {
  readonly stage: "vision" | "prefill" | "decode";
  /** Tiles, rows of the prompt, or tokens. */
  readonly done: number;
  readonly total: number;
}

export interface GenerateOptions {
  /** Most tokens of the answer; 256 if not given, or as many as the context still holds. */
  maxNewTokens?: number;
  imageMode?: ImageMode;
  /** "checkpoint" (the checkpoint's own chat template) or "onevision" (the text form of training). */
  template?: "checkpoint" | "onevision";
  /** Whether pictures are turned by their EXIF orientation; "apply" if not given. */
  orientation?: "apply" | "ignore";
  signal?: AbortSignal;
  onProgress?: (progress: AnswerProgress) => void;
  /** Called once with every named intermediate of the prompt's forward pass. Slow and large; for finding differences. */
  onTaps?: (taps: Tap[]) => void | Promise<void>;
}

const OPTIONS = [
  "maxNewTokens",
  "imageMode",
  "template",
  "orientation",
  "signal",
  "onProgress",
  "onTaps",
] as const satisfies readonly (keyof GenerateOptions)[];
const DEFAULT_NEW_TOKENS = 256;

/** One conversation: it owns the cache of keys and values. */
export class Session {
  readonly #cache: KVCache;
  #busy = false;
  #disposed = false;

  constructor(readonly model: LlavaOneVision) {
    const { layers, keyValueHeads, headSize } = model.config.text;
    this.#cache = new KVCache(model.device, layers, keyValueHeads * headSize);
  }

  /**
   * Answers the last message. Text streams through the answer's async iterator; `await answer.result` has the whole.
   * Throws OptionError at once for a bad option; everything else comes through the answer.
   */
  generate(messages: readonly ChatMessage[], options: GenerateOptions = {}): Answer {
    checkOptions("session.generate", options, OPTIONS);
    const { maxNewTokens } = options;
    if (maxNewTokens !== undefined && !(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
      throw new OptionError({
        where: "session.generate, maxNewTokens",
        expected: "a whole number above 0",
        got: String(maxNewTokens),
        remedy: "leave it out for 256",
      });
    }
    if (this.#busy) {
      throw new OptionError({
        where: "session.generate",
        expected: "one answer at a time",
        got: "a second call while the first is running",
        remedy: "await answer.result first, or use another session",
      });
    }
    this.#check();
    this.#busy = true;
    return new Answer(
      (emit) => this.#run(messages, options, emit),
      () => {
        this.#busy = false;
      },
    );
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#cache.dispose();
    this.model.forget(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(): void {
    this.model.check();
    if (!this.#disposed) return;
    throw new DisposedError({
      where: "Session",
      expected: "an open session",
      got: "a disposed one",
      remedy: "create another",
    });
  }

  async #run(
    messages: readonly ChatMessage[],
    options: GenerateOptions,
    emit: (piece: AnswerPiece) => void,
  ): Promise<AnswerResult> {
    const { model } = this;
    const { device, config } = model;
    const clock = new Clock();
    const prompt = await model.processor.prepare(messages, options);
    clock.lap("preprocess");
    const length = prompt.inputIds.length;
    const maxNewTokens = this.#room(length, options.maxNewTokens);
    const taps = options.onTaps && new TapRecorder(device);
    const during = <T>(work: () => T): T => (taps ? taps.during(work) : work());
    const scratch = new Arena(device, "answer");
    try {
      this.#check();
      this.#cache.truncate(0);
      this.#cache.reserve(length + Math.min(maxNewTokens, 64));
      const visual: RowPiece[] = [];
      for (const medium of prompt.media) {
        visual.push({ first: medium.start, tensor: await this.#see(medium, prompt, scratch, options, taps, during) });
      }
      await device.sync();
      clock.lap("vision");
      let logits = await this.#prefill(prompt, visual, scratch, options, during);
      if (taps && options.onTaps) await options.onTaps(await taps.collect());

      const allowed = Math.min(model.processor.tokenizer.size, config.text.vocabulary);
      const stream = new TextStream(model.processor.tokenizer, { skipSpecialTokens: true });
      const tokens: number[] = [];
      let text = "";
      let finishReason: AnswerResult["finishReason"] = "length";
      const say = (piece: string, token: number | undefined): void => {
        text += piece;
        if (piece !== "" || token !== undefined) emit({ text: piece, ...(token !== undefined && { token }) });
      };
      while (tokens.length < maxNewTokens) {
        const token = await this.#pick(logits, allowed);
        logits.dispose();
        if (tokens.length === 0) clock.lap("prefill");
        throwIfAborted(options.signal, "generating");
        this.#check();
        if (config.endTokens.includes(token)) {
          finishReason = "stop";
          break;
        }
        tokens.push(token);
        say(stream.push(token), token);
        options.onProgress?.({ stage: "decode", done: tokens.length, total: maxNewTokens });
        if (tokens.length === maxNewTokens) break;
        this.#cache.reserve(this.#cache.length + 1);
        logits = scratch.run(() => this.#step(Uint32Array.of(token), this.#cache.length, []));
      }
      say(stream.finish(), undefined);
      clock.lap("decode");
      return {
        text,
        tokens,
        promptTokens: prompt.inputIds,
        finishReason,
        usage: {
          promptTokens: length,
          visualTokens: prompt.spans.reduce((sum, span) => sum + span.length, 0),
          tiles: prompt.media.reduce((sum, medium) => sum + medium.tileCount, 0),
          completionTokens: tokens.length,
          totalTokens: length + tokens.length,
        },
        timings: clock.timings(),
      };
    } finally {
      scratch.dispose();
    }
  }

  /** The visual tokens `[M, D]` of one medium. */
  async #see(
    medium: PreparedMedium,
    prompt: PreparedPrompt,
    owner: Arena,
    options: GenerateOptions,
    taps: TapRecorder | undefined,
    during: <T>(work: () => T) => T,
  ): Promise<Tensor> {
    const { model } = this;
    const { device } = model;
    const total = prompt.media.reduce((sum, m) => sum + m.tileCount, 0);
    const before = prompt.media.slice(0, prompt.media.indexOf(medium)).reduce((sum, m) => sum + m.tileCount, 0);
    const tileBytes = medium.tiles.length / medium.tileCount;
    const patches = model.config.vision.cells ** 2;
    const features: RowPiece[] = [];
    for (let first = 0; first < medium.tileCount; first += model.tilesPerBatch) {
      throwIfAborted(options.signal, "vision");
      const count = Math.min(model.tilesPerBatch, medium.tileCount - first);
      const tiles = medium.tiles.subarray(first * tileBytes, (first + count) * tileBytes);
      taps?.add("tiles", model.config.vision.tileSide, Promise.resolve(this.#normalised(tiles)));
      const tensor = owner.run(() => during(() => model.project(tiles, count)));
      features.push({ first: first * patches, tensor });
      await device.sync();
      this.#check();
      options.onProgress?.({ stage: "vision", done: before + first + count, total });
    }
    const packed = owner.run(() => model.pack(features, medium));
    during(() => device.tap?.("packed", packed));
    for (const { tensor } of features) tensor.dispose();
    return packed;
  }

  /** Runs the prompt through the decoder; the logits of its last row. */
  async #prefill(
    prompt: PreparedPrompt,
    visual: readonly RowPiece[],
    owner: Arena,
    options: GenerateOptions,
    during: <T>(work: () => T) => T,
  ): Promise<Tensor> {
    const { model } = this;
    const ids = Uint32Array.from(prompt.inputIds);
    for (let first = 0; ; first += model.rowsPerChunk) {
      throwIfAborted(options.signal, "prefill");
      const chunk = ids.subarray(first, first + model.rowsPerChunk);
      const isLast = first + chunk.length === ids.length;
      const logits = owner.run(() =>
        during(() => {
          if (isLast) return this.#step(chunk, first, visual);
          model.device.scope(() => void model.decode(chunk, first, visual, this.#cache));
          return undefined;
        }),
      );
      if (logits) {
        for (const { tensor } of visual) tensor.dispose();
        return logits;
      }
      await model.device.sync();
      this.#check();
      options.onProgress?.({ stage: "prefill", done: first + chunk.length, total: ids.length });
    }
  }

  /** Runs rows through the decoder; the logits `[1, V]` of the last. */
  #step(ids: Uint32Array, first: number, visual: readonly RowPiece[]): Tensor {
    const { model } = this;
    const { device, config } = model;
    return device.scope(() => {
      const hidden = model.decode(ids, first, visual, this.#cache); // [T, D]
      const last = device.empty([1, config.text.width], "f32", "last row");
      const rowBytes = config.text.width * 4;
      device.copy(hidden, (ids.length - 1) * rowBytes, last, 0, rowBytes);
      return model.language.logits(last); // [1, V]
    });
  }

  /** The most probable of the ids that the tokenizer knows. */
  async #pick(logits: Tensor, allowed: number): Promise<number> {
    const best = this.model.device.scope(() => argmax(logits, allowed));
    const [token] = await best.read("u32");
    best.dispose();
    if (token! < allowed) return token!;
    throw new KernelError({
      where: "logits",
      expected: "numbers",
      got: "none: every one is NaN",
      remedy: "check the checkpoint's weights; report this with the output of `ocellus doctor`",
    });
  }

  /** Tokens that the answer may have. */
  #room(promptTokens: number, wanted: number | undefined): number {
    const { maxPositions } = this.model.config.text;
    const free = maxPositions - promptTokens;
    if (free >= (wanted ?? 1)) return wanted ?? Math.min(DEFAULT_NEW_TOKENS, free);
    const requested = promptTokens + (wanted ?? 1);
    throw new ContextOverflowError(
      {
        where: "prompt",
        expected: `at most ${maxPositions} tokens in all`,
        got: `${promptTokens} of the prompt and ${wanted ?? 1} of the answer`,
        remedy:
          free > 0 ? `ask for at most ${free} new tokens, or give fewer pictures` : "give fewer pictures or less text",
      },
      requested,
      maxPositions,
    );
  }

  /** Tiles as the vision tower sees them, `[n·3·S, S]` channel by channel. */
  #normalised(tiles: Uint8Array): ArrayBuffer {
    const { levels } = this.model.processor;
    const { tileSide } = this.model.config.vision;
    const plane = tileSide * tileSide;
    const out = new Float32Array(tiles.length);
    for (let i = 0; i < tiles.length; i++) {
      const tile = Math.floor(i / (3 * plane));
      const pixel = Math.floor((i % (3 * plane)) / 3);
      const channel = i % 3;
      out[(tile * 3 + channel) * plane + pixel] = levels[channel * 256 + tiles[i]!]!;
    }
    return out.buffer;
  }
}

/** Seconds of each stage. */
class Clock {
  readonly #started = performance.now();
  #last = this.#started;
  readonly #laps = { preprocess: 0, vision: 0, prefill: 0, decode: 0 };

  lap(stage: keyof AnswerResult["timings"] & ("preprocess" | "vision" | "prefill" | "decode")): void {
    const now = performance.now();
    this.#laps[stage] += (now - this.#last) / 1000;
    this.#last = now;
  }

  timings(): AnswerResult["timings"] {
    return { ...this.#laps, total: (this.#last - this.#started) / 1000 };
  }
}
