import { DisposedError, OptionError, throwIfAborted } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import type { Constraint } from "../../structure/constraint.js";
import { newTokenBudget } from "../llava-onevision/context-budget.js";
import type { ChatMessage, PreparedPrompt } from "../llava-onevision/processor.js";
import { AdaptiveSteps } from "./adaptive-steps.js";
import { Answer, type AnswerResult, type AnswerWriter } from "./answer.js";
import type { AnswerAttention, Answered, AttentionOptions } from "./answer-attention.js";
import { AnswerText } from "./answer-text.js";
import { copiedInput } from "./cached-media.js";
import { Clock } from "./clock.js";
import { Conversation, checkSessionOptions, type SessionInput, type SessionOptions } from "./conversation.js";
import { type DecodingOptions, decode, decodeUnder } from "./decoding.js";
import { draftsFor } from "./drafts.js";
import {
  APPEND_OPTIONS,
  type AppendOptions,
  checkGenerateOptions,
  checkPromptOptions,
  type GenerateOptions,
  PROMPT_OPTIONS,
  type PromptOptions,
} from "./generate-options.js";
import { type AppendResult, type Measurement, measured } from "./measurement.js";
import type { ModelInternals, OwnedSession } from "./model-internals.js";
import { NoNumbers } from "./no-numbers.js";
import type { PassOptions } from "./prompt-pass.js";
import type { Sequence } from "./sequence.js";
import { isStop, type PassUsage, type PassWork, SessionCache } from "./session-cache.js";
import { TapRecorder } from "./taps.js";

/**
 * One conversation; owns its KV cache.
 * @example
 * ```ts
 * const session = model.createSession({ system: "Answer in one word." });
 * const { text } = await session.generate([{ type: "video", video: "clip.mp4", frames: 8 }]).result;
 * console.log(text, (await session.generate("Are you sure?").result).text);
 * session.dispose();
 * ```
 */
export class Session implements Disposable {
  readonly #adaptiveSteps = new AdaptiveSteps();
  #cache: SessionCache;
  #conversation: Conversation;
  /** The answer that `attention` reads. */
  #answered: Answered | undefined;
  #busy = false;
  #disposed = false;
  readonly #owned: OwnedSession = {
    releaseIdle: () => {
      if (!this.#busy) this.#cache.release();
    },
    [Symbol.dispose]: () => this.dispose(),
  };

  private constructor(
    private readonly model: ModelInternals,
    { system, adapters }: SessionOptions,
  ) {
    this.#cache = new SessionCache(model, adapters);
    this.#conversation = new Conversation(system);
    model.sessions.add(this.#owned);
  }

  /**
   * Creates a session of a model, for `model.createSession`. Throws OptionError for an unknown option.
   * @internal
   */
  static create(model: ModelInternals, options: SessionOptions): Session {
    checkSessionOptions(options, model.adapters);
    return new Session(model, options);
  }

  /** All messages so far: questions with their appended parts, and answers. */
  get messages(): readonly ChatMessage[] {
    return this.#conversation.messages;
  }

  /**
   * Answers the input. Text streams through the answer's async iterator; `await answer.result` returns the complete answer. An answer
   * that fails or is aborted leaves the conversation unchanged. Bytes and pixels are copied at the call.
   * Throws OptionError synchronously for an invalid option; all other errors reject the answer.
   */
  generate(input: SessionInput, options: GenerateOptions = {}): Answer {
    const where = "session.generate";
    checkGenerateOptions(where, options);
    this.#begin(where);
    return Answer.start(
      async (writer) => {
        const asked = this.#conversation.asked(copiedInput(input, where), where);
        const result = await this.#answer(asked, options, writer);
        if (result.finishReason !== "stopped" || result.tokens.length > 0)
          this.#conversation = asked.answered((options.answerPrefix ?? "") + result.text);
        this.#answered = { promptLength: result.promptTokens.length, tokens: result.tokens.length };
        return result;
      },
      () => this.#end(),
    );
  }

  /**
   * Prefills parts ahead of the question they belong to: the next `generate` puts them before its input, and their visual tokens and
   * KV-cache rows are ready by then.
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

  /** Counts the tokens and tiles of a prompt as if it was asked now; reads pictures, but does not use the GPU. */
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
      reusedTokens: this.#cache.reused(prompt),
      tiles: prompt.media.reduce((sum, { tileCount }) => sum + tileCount, 0),
      contextTokens,
      availableTokens: Math.max(0, contextTokens - promptTokens),
      media: prompt.media.map((medium) => measured(medium, this.model.config.vision.tileSide)),
    };
  }

  /**
   * Returns attention maps of the last answer: the decoder's attention, averaged over tokens, layers and heads, on the cells of the
   * pictures and frames. A hint at best: attention is not explanation (arXiv 1902.10186).
   * Throws OptionError without an answer since the session was created, appended to or reset; AbortedError.
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
      const answered = this.#answered;
      return await this.model.recovery.run(
        this.model,
        async () => {
          const cache = await this.#cache.refill({ signal: options.signal });
          return answerAttention(this.model, cache, this.#cache.prefix, answered, options);
        },
        { signal: options.signal },
      );
    } finally {
      this.#end();
    }
  }

  /**
   * Forks the session; the KV cache is copied. While an answer is running, the fork has the conversation before its question, and the
   * question's rows of the cache, which it reuses if it is asked the same.
   */
  clone(): Session {
    this.#check();
    const other = new Session(this.model, {});
    other.#conversation = this.#conversation;
    try {
      other.#cache = this.#cache.clone();
    } catch (cause) {
      other.dispose();
      throw cause;
    }
    other.#answered = this.#answered;
    return other;
  }

  /** Clears the conversation, except its system prompt. The KV cache is kept for prefix reuse. */
  reset(): void {
    this.#begin("session.reset");
    this.#answered = undefined;
    this.#conversation = new Conversation(this.#conversation.system);
    this.#end();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // An operation that is running writes to its blocks until it ends, which is soon.
    if (!this.#busy) this.#leave();
  }

  /** Visual tokens and prefixes are kept until the model's last session ends. */
  #leave(): void {
    const { sessions, visionCache, prefixCache } = this.model;
    this.#cache.release();
    sessions.delete(this.#owned);
    if (sessions.size > 0) return;
    visionCache.clear();
    prefixCache.forget();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Starts an exclusive operation. Throws OptionError while another is running, DisposedError after `dispose`. */
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
    if (this.#disposed) this.#leave();
    this.model.kvPool.wake();
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
    // Imported on demand, like structured output.
    const bias = options.logitBias && (await import("./logit-bias.js")).biasOf(options.logitBias, allowed);
    const answer = new AnswerText(model.processor.tokenizer, options, writer);
    // Before the first token, `stop` aborts the prefill but keeps its results.
    const signal = options.signal ? AbortSignal.any([options.signal, writer.enough]) : writer.enough;
    let prompt: PreparedPrompt | undefined;
    const usage = { reusedTokens: 0, tiles: 0 };
    const drafted = { draftedTokens: 0, acceptedTokens: 0 };
    try {
      const asking = await model.processor.prepare(asked.messages, { ...options, signal });
      prompt = asking;
      clock.lap("preprocess");
      const maxNewTokens = newTokenBudget(asking, config, options.maxNewTokens);
      let { onTaps } = options;
      const passOptions = { signal, onProgress: options.onProgress, check: () => this.#check() };
      // Runs again after the loss of the device, with the tokens so far as the end of the prompt.
      const run = async (): Promise<void> => {
        const given = [...answer.tokens];
        const inputIds = [...asking.inputIds, ...given];
        const taps = onTaps && new TapRecorder(model.device);
        const work: PassWork = async (pass, owner, reused, cache) => {
          cache.reserve(inputIds.length + Math.min(maxNewTokens - given.length, 64), true);
          await pass.encodeMedia(reused);
          clock.lap("vision");
          const logits = await pass.prefill(reused, cache);
          if (taps) await onTaps?.(await taps.collect());
          onTaps = undefined;
          const decoding: DecodingOptions = {
            ...options,
            seed: answer.seed,
            given,
            maxNewTokens,
            allowed,
            bias,
            eosTokens: config.eosTokens,
            readLogits: options.logprobs ?? false,
            adaptiveSteps: this.#adaptiveSteps,
            batching: pass.on.batching,
            drafts: draftsFor(options, inputIds, model.processor.tokenizer, drafted),
            check: () => pass.check(),
          };
          const choices = constraint
            ? decodeUnder(constraint, pass.on.network, cache, logits, owner, decoding)
            : decode(pass.on.network, cache, logits, owner, decoding);
          let isFirst = true;
          for await (const choice of choices) {
            if (isFirst) clock.lap("prefill");
            throwIfAborted(options.signal, "generating");
            pass.check();
            if (isFirst) this.#cache.offer(pass);
            isFirst = false;
            if (answer.ends(choice, config.eosTokens)) break;
            options.onProgress?.({ stage: "decode", done: answer.tokens.length, total: maxNewTokens });
          }
          return answer.tokens.slice(given.length);
        };
        await this.#during({ ...asking, inputIds }, { ...passOptions, taps }, options.signal, usage, work);
      };
      await model.recovery.run(model, run, passOptions).catch(async (cause: unknown) => {
        if (!(cause instanceof NoNumbers)) throw cause;
        const { notFinite } = await import("./non-finite.js");
        throw await notFinite(cause, model, { ...asking, inputIds: [...asking.inputIds, ...answer.tokens] });
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
        ...drafted,
        totalTokens: promptTokens.length + answer.tokens.length,
      },
      timings: clock.timings(),
    };
  }

  /** Structured output is imported on demand: pages load its code with the first structured answer. */
  async #constraint(options: GenerateOptions, allowed: number): Promise<Constraint | undefined> {
    if (options.schema === undefined && options.regex === undefined && options.grammar === undefined) return undefined;
    const [{ plainStructure }, { constraintFor }, { inTimeSlices }] = await Promise.all([
      import("./structure-options.js"),
      import("../../structure/constraint.js"),
      import("../../structure/time-slices.js"),
    ]);
    const { processor, config } = this.model;
    const structure = plainStructure("session.generate", options);
    const making = constraintFor(structure, processor.tokenizer, config.eosTokens, allowed);
    return inTimeSlices(making, () => throwIfAborted(options.signal, "compiling the structure of the answer"));
  }

  async #fill(appended: Conversation, options: AppendOptions): Promise<AppendResult> {
    const { processor } = this.model;
    const prompt = await processor.prepareBeginning(appended.begun, options);
    newTokenBudget(prompt, this.model.config, undefined);
    const usage = { reusedTokens: 0, tiles: 0 };
    const length = prompt.inputIds.length;
    const work: PassWork = async (pass, _owner, reused, cache) => {
      cache.reserve(length, true);
      await pass.encodeMedia(reused);
      await pass.fill(reused, length, cache);
      return [];
    };
    const { model } = this;
    await model.recovery.run(model, () => this.#during(prompt, options, options.signal, usage, work), options);
    return { promptTokens: length, visualTokens: visualTokens(prompt), ...usage };
  }

  /** Runs a pass over the rows of a prompt that are not cached; see {@link SessionCache.during}. */
  async #during(
    prompt: Sequence,
    options: PassOptions,
    abort: AbortSignal | undefined,
    usage: PassUsage,
    work: PassWork,
  ): Promise<void> {
    this.#check();
    this.#answered = undefined;
    try {
      await this.#cache.during(prompt, options, abort, usage, work);
    } finally {
      if (this.#disposed) this.#leave();
    }
  }
}

function visualTokens(prompt: PreparedPrompt): number {
  return prompt.media.reduce((sum, { tokens }) => sum + tokens, 0);
}
