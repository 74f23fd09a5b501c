import { KVCache } from "../layers/kv-cache.js";
import { Arena } from "../runtime/arena.js";
import { AbortedError, DisposedError, OptionError, throwIfAborted } from "../runtime/errors.js";
import { checkOptions } from "../runtime/options.js";
import type { Constraint } from "../structure/constraint.js";
import { Answer, type AnswerResult, type AnswerWriter } from "./answer.js";
import type { AnswerAttention, Answered, AttentionOptions } from "./answer-attention.js";
import { AnswerText } from "./answer-text.js";
import { copiedInput } from "./cached-media.js";
import { Clock } from "./clock.js";
import { Conversation, type SessionInput, type SessionOptions } from "./conversation.js";
import { AdaptiveSteps, type DecodingOptions, decode, decodeUnder } from "./decoding.js";
import {
  APPEND_OPTIONS,
  type AppendOptions,
  checkGenerateOptions,
  checkPromptOptions,
  type GenerateOptions,
  PROMPT_OPTIONS,
  type PromptOptions,
} from "./generate-options.js";
import { newTokenBudget } from "./llava-onevision/context-budget.js";
import type { LlavaOneVision } from "./llava-onevision/model.js";
import type { ChatMessage, PreparedPrompt } from "./llava-onevision/processor.js";
import { type AppendResult, type Measurement, measured } from "./measurement.js";
import { CachedPrefix, type PassOptions, PromptPass } from "./prompt-pass.js";
import { TapRecorder } from "./taps.js";

/** One conversation: it owns the cache of keys and values. */
export class Session {
  readonly #adaptiveSteps = new AdaptiveSteps();
  #cache: KVCache;
  #prefix = new CachedPrefix();
  #conversation: Conversation;
  /** What `attention` looks at. */
  #answered: Answered | undefined;
  #busy = false;
  #disposed = false;

  /** For `model.createSession`. Throws OptionError for an unknown option. */
  constructor(
    readonly model: LlavaOneVision,
    options: SessionOptions = {},
  ) {
    checkOptions("model.createSession", options, ["system"]);
    const { system } = options;
    if (system !== undefined && typeof system !== "string") {
      throw new OptionError({
        where: "model.createSession, system",
        expected: "a text",
        got: typeof system,
        remedy: "leave it out for none",
      });
    }
    const { layers, keyValueHeads, headSize, maxPositions } = model.config.text;
    this.#cache = new KVCache(model.device, layers, keyValueHeads * headSize, model.cacheType, maxPositions);
    this.#conversation = new Conversation(system);
  }

  /** What was said so far: questions with everything that was appended to them, and answers. */
  get messages(): readonly ChatMessage[] {
    return this.#conversation.messages;
  }

  /**
   * Answers the input. Text streams through the answer's async iterator; `await answer.result` has the whole. An answer that fails
   * or is aborted leaves the conversation as it was. Bytes and pixels are copied at the call.
   * Throws OptionError at once for a bad option; everything else comes through the answer.
   */
  generate(input: SessionInput, options: GenerateOptions = {}): Answer {
    const where = "session.generate";
    checkGenerateOptions(where, options);
    this.#begin(where);
    return new Answer(
      async (writer) => {
        const asked = this.#conversation.asked(copiedInput(input, where), where);
        const result = await this.#answer(asked, options, writer);
        if (result.finishReason !== "stopped" || result.tokens.length > 0)
          this.#conversation = asked.answered(result.text);
        this.#answered = { promptLength: result.promptTokens.length, tokens: result.tokens.length };
        return result;
      },
      () => this.#end(),
    );
  }

  /**
   * Computes parts ahead of the question they belong to: they come first in what `generate` is given next. Pictures are seen and
   * their rows are in the cache when the question comes.
   */
  async append(input: SessionInput, options: AppendOptions = {}): Promise<AppendResult> {
    const where = "session.append";
    checkOptions(where, options, APPEND_OPTIONS);
    checkPromptOptions(where, options);
    this.#begin(where);
    try {
      const appended = this.#conversation.appended(copiedInput(input, where), where);
      const result = await this.#fill(appended, options);
      this.#conversation = appended;
      return result;
    } finally {
      this.#end();
    }
  }

  /** What a prompt would take if it was asked now; pictures are read for it, the adapter is not used. */
  async measure(input: SessionInput, options: PromptOptions = {}): Promise<Measurement> {
    const where = "session.measure";
    checkOptions(where, options, PROMPT_OPTIONS);
    checkPromptOptions(where, options);
    this.#check();
    const { messages } = this.#conversation.asked(copiedInput(input, where), where);
    const prompt = await this.model.processor.prepare(messages, options);
    const promptTokens = prompt.inputIds.length;
    const contextTokens = this.model.config.text.maxPositions;
    return {
      promptTokens,
      visualTokens: visualTokens(prompt),
      reusedTokens: this.#prefix.common(prompt, this.#cache.length),
      tiles: prompt.media.reduce((sum, { tileCount }) => sum + tileCount, 0),
      contextTokens,
      availableTokens: Math.max(0, contextTokens - promptTokens),
      media: prompt.media.map((medium) => measured(medium, this.model.config.vision.tileSide)),
    };
  }

  /**
   * What the model looked at when it chose tokens of its last answer: attention of the decoder, averaged over tokens, layers and heads,
   * on places of the pictures and frames. It is a hint at best: attention is not an explanation.
   * Throws OptionError if nothing was answered since the session was made, appended to or reset; AbortedError.
   */
  async attention(options: AttentionOptions = {}): Promise<AnswerAttention> {
    const where = "session.attention";
    this.#begin(where);
    try {
      if (!this.#answered?.tokens) {
        throw new OptionError({
          where,
          expected: "a session that has answered",
          got: this.#answered ? "an empty answer" : "none that has",
          remedy: "await the result of generate first",
        });
      }
      const { answerAttention } = await import("./answer-attention.js");
      return await answerAttention(this.model, this.#cache, this.#prefix, this.#answered, options);
    } finally {
      this.#end();
    }
  }

  /** Another session that has heard the same; its cache is a copy. Throws OptionError while an answer is running. */
  clone(): Session {
    this.#begin("session.clone");
    try {
      const other = this.model.createSession();
      other.#conversation = this.#conversation;
      try {
        other.#cache = this.#cache.clone();
      } catch (cause) {
        other.dispose();
        throw cause;
      }
      other.#prefix = this.#prefix;
      other.#answered = this.#answered;
      return other;
    } finally {
      this.#end();
    }
  }

  /** Forgets what was said, but for what the session was created with. What is in the cache may still be of use. */
  reset(): void {
    this.#begin("session.reset");
    this.#answered = undefined;
    this.#conversation = new Conversation(this.#conversation.system);
    this.#end();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#cache.dispose();
    this.model.removeSession(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** One thing at a time. Throws OptionError while another is running, DisposedError after `dispose`. */
  #begin(where: string): void {
    this.#check();
    if (this.#busy) {
      throw new OptionError({
        where,
        expected: "one answer at a time",
        got: "a second call while the first is running",
        remedy: "await answer.result first, or use another session",
      });
    }
    this.#busy = true;
  }

  #end(): void {
    this.#busy = false;
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

  async #answer(asked: Conversation, options: GenerateOptions, writer: AnswerWriter): Promise<AnswerResult> {
    const { model } = this;
    const { config } = model;
    const clock = new Clock();
    const allowed = Math.min(model.processor.tokenizer.size, config.text.vocabulary);
    const constraint = await this.#constraint(options, allowed);
    const answer = new AnswerText(model.processor.tokenizer, options, writer);
    // Until the first token a stop is an abort that keeps what there is.
    const signal = options.signal ? AbortSignal.any([options.signal, writer.enough]) : writer.enough;
    let prompt: PreparedPrompt | undefined;
    const usage = { reusedTokens: 0, tiles: 0 };
    try {
      prompt = await model.processor.prepare(asked.messages, { ...options, signal });
      clock.lap("preprocess");
      const length = prompt.inputIds.length;
      const maxNewTokens = newTokenBudget(prompt, config, options.maxNewTokens);
      const taps = options.onTaps && new TapRecorder(model.device);
      const passOptions = { signal, onProgress: options.onProgress, taps };
      await this.#during(prompt, passOptions, options.signal, usage, async (pass, owner, reused) => {
        this.#cache.reserve(length + Math.min(maxNewTokens, 64));
        await pass.see(reused);
        clock.lap("vision");
        const logits = await pass.prefill(reused, this.#cache);
        if (taps && options.onTaps) await options.onTaps(await taps.collect());
        const decoding: DecodingOptions = {
          ...options,
          seed: answer.seed,
          maxNewTokens,
          allowed,
          eosTokens: config.eosTokens,
          readLogits: options.logprobs ?? false,
          adaptiveSteps: this.#adaptiveSteps,
          check: () => this.#check(),
        };
        const choices = constraint
          ? decodeUnder(constraint, model.network, this.#cache, logits, owner, decoding)
          : decode(model.network, this.#cache, logits, owner, decoding);
        let isFirst = true;
        for await (const choice of choices) {
          if (isFirst) clock.lap("prefill");
          isFirst = false;
          throwIfAborted(options.signal, "generating");
          this.#check();
          if (answer.ends(choice, config.eosTokens)) break;
          options.onProgress?.({ stage: "decode", done: answer.tokens.length, total: maxNewTokens });
        }
        return answer.tokens;
      });
    } catch (cause) {
      if (!isStop(cause, options.signal)) throw cause;
      answer.finishReason = "stopped";
    }
    answer.finish();
    clock.lap("decode");
    const promptTokens = prompt?.inputIds ?? [];
    return {
      ...answer.result(),
      promptTokens,
      usage: {
        promptTokens: promptTokens.length,
        visualTokens: prompt ? visualTokens(prompt) : 0,
        ...usage,
        completionTokens: answer.tokens.length,
        totalTokens: promptTokens.length + answer.tokens.length,
      },
      timings: clock.timings(),
    };
  }

  /** The code for structure comes only when an answer is to have one: pages load it then. */
  async #constraint(options: GenerateOptions, allowed: number): Promise<Constraint | undefined> {
    if (options.schema === undefined && options.regex === undefined && options.grammar === undefined) return undefined;
    const [{ constraintFor }, { inTimeSlices }] = await Promise.all([
      import("../structure/constraint.js"),
      import("../structure/time-slices.js"),
    ]);
    const { processor, config } = this.model;
    const making = constraintFor(options, processor.tokenizer, config.eosTokens, allowed);
    return inTimeSlices(making, () => throwIfAborted(options.signal, "compiling what the answer is held to"));
  }

  async #fill(appended: Conversation, options: AppendOptions): Promise<AppendResult> {
    const { processor } = this.model;
    const prompt = await processor.prepareBeginning(appended.begun, options);
    newTokenBudget(prompt, this.model.config, undefined);
    const usage = { reusedTokens: 0, tiles: 0 };
    const length = prompt.inputIds.length;
    await this.#during(prompt, options, options.signal, usage, async (pass, _owner, reused) => {
      this.#cache.reserve(length);
      await pass.see(reused);
      await pass.fill(reused, length, this.#cache);
      return [];
    });
    return { promptTokens: length, visualTokens: visualTokens(prompt), ...usage };
  }

  /**
   * Runs a pass over the rows of a prompt that the cache lacks; `work` tells which tokens it fed after them. When it fails, the cache
   * is as large as before, and what is in it is known.
   */
  async #during(
    prompt: PreparedPrompt,
    options: PassOptions,
    abort: AbortSignal | undefined,
    usage: { reusedTokens: number; tiles: number },
    work: (pass: PromptPass, owner: Arena, reused: number) => Promise<readonly number[]>,
  ): Promise<void> {
    this.#check();
    this.#answered = undefined;
    const cache = this.#cache;
    const { capacity } = cache;
    const owner = new Arena(this.model.device, "answer");
    const pass = new PromptPass(this.model, prompt, owner, options);
    // Taps show the whole prompt, so nothing of it may come from the cache.
    const reused = options.taps ? 0 : this.#prefix.common(prompt, cache.length);
    cache.truncate(reused);
    this.#prefix = new CachedPrefix(prompt.inputIds, prompt.media);
    usage.reusedTokens = reused;
    try {
      const fed = await work(pass, owner, reused);
      pass.keep();
      // Steps were recorded ahead of the tokens that came.
      cache.truncate(prompt.inputIds.length + fed.length);
      this.#prefix = new CachedPrefix([...prompt.inputIds, ...fed], prompt.media);
    } catch (cause) {
      cache.truncate(prompt.inputIds.length);
      if (isStop(cause, abort)) pass.keep();
      else if (cause instanceof AbortedError) cache.shrink(capacity);
      else cache.truncate(reused);
      throw cause;
    } finally {
      usage.tiles = pass.tiles;
      pass.end();
      owner.dispose();
      if (this.#disposed) this.model.removeSession(this);
    }
  }
}

/** Whether it was `answer.stop()` that ended the work, not the caller's signal. */
function isStop(cause: unknown, abort: AbortSignal | undefined): boolean {
  return cause instanceof AbortedError && !abort?.aborted;
}

function visualTokens(prompt: PreparedPrompt): number {
  return prompt.media.reduce((sum, { tokens }) => sum + tokens, 0);
}
