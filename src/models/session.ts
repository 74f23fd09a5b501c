import { TextStream } from "../io/detokenizer.js";
import { KVCache } from "../layers/kv-cache.js";
import { Arena } from "../runtime/arena.js";
import { DisposedError, OptionError, throwIfAborted } from "../runtime/errors.js";
import { checkOptions } from "../runtime/options.js";
import { Answer, type AnswerPiece, type AnswerResult } from "./answer.js";
import { decode, Pace } from "./decoding.js";
import { room } from "./llava-onevision/context.js";
import type { LlavaOneVision } from "./llava-onevision/model.js";
import type { ChatMessage, ImageMode } from "./llava-onevision/processor.js";
import { type AnswerProgress, Held, PromptPass } from "./prompt-pass.js";
import { type Tap, TapRecorder } from "./taps.js";

export interface GenerateOptions {
  /** Most tokens of the answer; 256 if not given, or as many as the context still holds. */
  maxNewTokens?: number;
  /** No end token before this many tokens. */
  minNewTokens?: number;
  /** Above 1 makes tokens that the answer already has less likely; 1 if not given. */
  repetitionPenalty?: number;
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
  "minNewTokens",
  "repetitionPenalty",
  "imageMode",
  "template",
  "orientation",
  "signal",
  "onProgress",
  "onTaps",
] as const satisfies readonly (keyof GenerateOptions)[];
/** One conversation: it owns the cache of keys and values. */
export class Session {
  readonly #cache: KVCache;
  readonly #held = new Held();
  readonly #pace = new Pace();
  #busy = false;
  #disposed = false;

  constructor(readonly model: LlavaOneVision) {
    const { layers, keyValueHeads, headSize, maxPositions } = model.config.text;
    this.#cache = new KVCache(model.device, layers, keyValueHeads * headSize, model.cacheType, maxPositions);
  }

  /**
   * Answers the last message. Text streams through the answer's async iterator; `await answer.result` has the whole.
   * Throws OptionError at once for a bad option; everything else comes through the answer.
   */
  generate(messages: readonly ChatMessage[], options: GenerateOptions = {}): Answer {
    checkOptions("session.generate", options, OPTIONS);
    checkNumbers(options);
    checkNames(options);
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
    const maxNewTokens = room(prompt, config, options.maxNewTokens);
    const taps = options.onTaps && new TapRecorder(device);
    const owner = new Arena(device, "answer");
    const { signal, onProgress } = options;
    const tokens: number[] = [];
    const pass = new PromptPass(model, prompt, owner, { signal, onProgress, taps });
    try {
      this.#check();
      // Taps show the whole prompt, so nothing of it may come from the cache.
      const reused = taps ? 0 : this.#held.common(prompt, this.#cache.length);
      this.#cache.truncate(reused);
      this.#cache.reserve(length + Math.min(maxNewTokens, 64));
      this.#held.ids = [...prompt.inputIds];
      this.#held.media = prompt.media;
      await pass.see(reused);
      clock.lap("vision");
      const logits = await pass.prefill(reused, this.#cache);
      if (taps && options.onTaps) await options.onTaps(await taps.collect());

      const stream = new TextStream(model.processor.tokenizer, { skipSpecialTokens: true });
      let text = "";
      let finishReason: AnswerResult["finishReason"] = "length";
      const say = (piece: string, token?: number): void => {
        text += piece;
        if (piece !== "" || token !== undefined) emit({ text: piece, ...(token !== undefined && { token }) });
      };
      const choices = decode(model.network, this.#cache, logits, owner, {
        repetitionPenalty: options.repetitionPenalty ?? 1,
        minNewTokens: options.minNewTokens ?? 0,
        endTokens: config.endTokens,
        allowed: Math.min(model.processor.tokenizer.size, config.text.vocabulary),
        maxNewTokens,
        pace: this.#pace,
        check: () => this.#check(),
      });
      for await (const token of choices) {
        if (tokens.length === 0) clock.lap("prefill");
        throwIfAborted(signal, "generating");
        this.#check();
        if (config.endTokens.includes(token)) {
          finishReason = "stop";
          break;
        }
        tokens.push(token);
        say(stream.push(token), token);
        onProgress?.({ stage: "decode", done: tokens.length, total: maxNewTokens });
      }
      say(stream.finish());
      clock.lap("decode");
      return {
        text,
        tokens,
        promptTokens: prompt.inputIds,
        finishReason,
        usage: {
          promptTokens: length,
          reusedTokens: reused,
          visualTokens: prompt.spans.reduce((sum, span) => sum + span.length, 0),
          tiles: prompt.media.reduce((sum, medium) => sum + medium.tileCount, 0),
          completionTokens: tokens.length,
          totalTokens: length + tokens.length,
        },
        timings: clock.timings(),
      };
    } finally {
      // Steps were recorded ahead of the tokens that came.
      this.#cache.truncate(length + tokens.length);
      this.#held.ids = [...prompt.inputIds, ...tokens].slice(0, this.#cache.length);
      owner.dispose();
    }
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

/** The names that the options' types allow; a slip would otherwise mean the default. */
const NAMES = {
  imageMode: ["auto", "anyres", "pad"],
  template: ["checkpoint", "onevision"],
  orientation: ["apply", "ignore"],
} as const;

function checkNames(options: GenerateOptions): void {
  for (const [name, known] of Object.entries(NAMES) as [keyof typeof NAMES, readonly string[]][]) {
    const value = options[name];
    if (value === undefined || known.includes(value)) continue;
    throw new OptionError({
      where: `session.generate, ${name}`,
      expected: known.map((word) => JSON.stringify(word)).join(" or "),
      got: String(value),
      remedy: "leave it out for the default",
    });
  }
}

function checkNumbers(options: GenerateOptions): void {
  const { maxNewTokens, minNewTokens, repetitionPenalty } = options;
  const bad = (name: string, expected: string, got: number): OptionError =>
    new OptionError({
      where: `session.generate, ${name}`,
      expected,
      got: String(got),
      remedy: "leave it out for the default",
    });
  if (maxNewTokens !== undefined && !(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
    throw bad("maxNewTokens", "a whole number above 0", maxNewTokens);
  }
  if (minNewTokens !== undefined && !(Number.isInteger(minNewTokens) && minNewTokens >= 0)) {
    throw bad("minNewTokens", "a whole number, 0 or above", minNewTokens);
  }
  if (repetitionPenalty !== undefined && !(repetitionPenalty > 0 && Number.isFinite(repetitionPenalty))) {
    throw bad("repetitionPenalty", "a number above 0", repetitionPenalty);
  }
}
