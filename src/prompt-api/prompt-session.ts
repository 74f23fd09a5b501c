import { OcellusError } from "../base/errors.js";
import type { Answer } from "../models/chat/answer.js";
import type { ChatModel, ChatSession } from "../models/chat/chat-model.js";
import type { ContentPart } from "../models/chat/conversation.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import type { Measurement } from "../models/chat/measurement.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import { type PromptInput, readInput } from "./prompt-input.js";

/** Options of a prompt. */
export interface PromptOptions {
  /** A JSON schema, an object that offers one (zod 4), or a regular expression. */
  responseConstraint?: object | RegExp;
  /** Without effect: constraints are never written into the prompt. */
  omitResponseConstraintInput?: boolean;
  signal?: AbortSignal | undefined;
}

/** How a session answers. */
export interface SessionSettings {
  readonly temperature: number;
  readonly topK: number;
  /** Maximum tokens of an answer. */
  readonly maxNewTokens: number;
}

/**
 * The error of a conversation that does not fit the context.
 * @example
 * ```ts
 * import { QuotaExceededError } from "ocellus/prompt-api";
 *
 * try {
 *   await promptSession.prompt("…");
 * } catch (error) {
 *   if (error instanceof QuotaExceededError) console.log(error.requested, error.quota);
 * }
 * ```
 */
export class QuotaExceededError extends DOMException {
  constructor(
    message: string,
    /** Tokens that were asked for. */
    readonly requested: number,
    /** Tokens that there are. */
    readonly quota: number,
  ) {
    super(message, "QuotaExceededError");
  }
}

/**
 * A conversation with the interface of Chrome's Prompt API. Calls take turns. When the context is full the oldest question and its answer
 * are dropped, and `quotaoverflow` and `contextoverflow` are dispatched.
 * @example
 * ```ts
 * await promptSession.append([{ role: "user", content: [{ type: "image", value: file }] }]);
 * for await (const piece of promptSession.promptStreaming("What is this?")) output.append(piece);
 * promptSession.destroy();
 * ```
 */
export class PromptSession extends EventTarget {
  /** Called when a question and its answer are dropped. */
  onquotaoverflow: ((event: Event) => void) | null = null;
  /** The newer name of `onquotaoverflow`. */
  oncontextoverflow: ((event: Event) => void) | null = null;
  readonly #session: ChatSession;
  #messages: readonly ChatMessage[];
  #usage = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #destroyed = new AbortController();

  /** For `create` and `clone`. */
  constructor(
    private readonly model: ChatModel,
    private readonly settings: SessionSettings,
    messages: readonly ChatMessage[],
    /** Tokens of the model's context, and of the messages. */
    readonly contextWindow: number,
    usage: number,
    session: ChatSession = model.createSession(),
  ) {
    super();
    this.#messages = messages;
    this.#usage = usage;
    this.#session = session;
  }

  get temperature(): number {
    return this.settings.temperature;
  }

  get topK(): number {
    return this.settings.topK;
  }

  /** Tokens of the conversation so far. */
  get contextUsage(): number {
    return this.#usage;
  }

  /** The older name of `contextWindow`. */
  get inputQuota(): number {
    return this.contextWindow;
  }

  /** The older name of `contextUsage`. */
  get inputUsage(): number {
    return this.#usage;
  }

  /** Answers the input. Throws DOMException and TypeError, and errors of sessions. */
  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    let text = "";
    for await (const piece of this.#answer(input, options)) text += piece;
    return text;
  }

  /** Streams the answer; canceling the stream stops it. */
  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    const pieces = this.#answer(input, options);
    return new ReadableStream<string>({
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => void pieces.return(),
    });
  }

  /** Adds messages to the conversation; media are read now, and answered with the next prompt. */
  async append(input: PromptInput, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const added = readInput(input);
    await this.#inTurn(signal, async (own) => {
      const { messages, promptTokens } = await this.#fitting(added, own);
      // The user message at the end is what the model can read ahead.
      if (messages.at(-1)?.role === "user") await this.#session.append(messages, { signal: own });
      // The messages are passed with the next prompt; the KV cache stays.
      this.#session.reset();
      this.#messages = messages;
      this.#usage = promptTokens;
    });
  }

  /** Counts the tokens that the input would add. */
  async measureContextUsage(input: PromptInput, { signal }: PromptOptions = {}): Promise<number> {
    this.#check(signal);
    const counting = this.#signal(signal);
    return orDOMException(counting, async () => {
      const { promptTokens } = await measured(this.#session, [...this.#messages, ...readInput(input)], counting);
      return Math.max(0, promptTokens - this.#usage);
    });
  }

  /** The older name of `measureContextUsage`. */
  measureInputUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    return this.measureContextUsage(input, options);
  }

  /** Forks the conversation. */
  async clone({ signal }: { signal?: AbortSignal } = {}): Promise<this> {
    this.#check(signal);
    await this.#turn;
    const other = new (this.constructor as typeof PromptSession)(
      this.model,
      this.settings,
      this.#messages,
      this.contextWindow,
      this.#usage,
      this.#session.clone(),
    );
    other.endWith(signal);
    return other as this;
  }

  /** Ends the session, and a prompt that is running. */
  destroy(): void {
    if (this.#destroyed.signal.aborted) return;
    this.#destroyed.abort(new DOMException("the session was destroyed", "AbortError"));
    this.#session.dispose();
  }

  /** Destroys the session when the signal fires. */
  protected endWith(signal: AbortSignal | undefined): void {
    signal?.addEventListener("abort", () => this.destroy(), { once: true });
  }

  async *#answer(
    input: PromptInput,
    { responseConstraint, signal }: PromptOptions,
  ): AsyncGenerator<string, void, void> {
    const added = readInput(input);
    const end = await this.#begin(signal);
    const own = this.#signal(signal);
    let answer: Answer | undefined;
    try {
      const { messages } = await orDOMException(own, () => this.#fitting(added, own));
      answer = this.#session.generate(messages, {
        ...this.#sampling(),
        ...constraintOf(responseConstraint),
        signal: own,
      });
      for await (const { text } of answer) if (text !== "") yield text;
      const { text, usage } = await answer.result;
      this.#messages = [...messages, { role: "assistant", content: text }];
      this.#usage = usage.totalTokens;
    } catch (error) {
      throw domException(error, own);
    } finally {
      answer?.stop();
      await answer?.result.catch(() => {});
      end();
    }
  }

  /** The conversation with messages added, without the oldest turns if it would not fit. Throws QuotaExceededError. */
  async #fitting(
    added: readonly ChatMessage[],
    signal: AbortSignal,
  ): Promise<{ messages: readonly ChatMessage[]; promptTokens: number }> {
    let kept = this.#messages;
    for (;;) {
      const messages = inTurns([...kept, ...added]);
      const { promptTokens, contextTokens } = await measured(this.#session, messages, signal);
      if (promptTokens < contextTokens) return { messages, promptTokens };
      const shorter = withoutOldest(kept);
      if (!shorter) throw tooLong(promptTokens, contextTokens);
      kept = shorter;
      this.#overflow();
    }
  }

  #overflow(): void {
    for (const name of ["quotaoverflow", "contextoverflow"] as const) {
      const event = new Event(name);
      this.dispatchEvent(event);
      this[`on${name}`]?.(event);
    }
  }

  #sampling(): GenerateOptions {
    const { temperature, topK, maxNewTokens } = this.settings;
    return { maxNewTokens, ...(temperature > 0 && topK > 1 && { temperature, topK }) };
  }

  #signal(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#destroyed.signal]) : this.#destroyed.signal;
  }

  #check(signal?: AbortSignal): void {
    if (this.#destroyed.signal.aborted) throw new DOMException("the session was destroyed", "InvalidStateError");
    signal?.throwIfAborted();
  }

  /** Waits for the calls before; returns the function that ends the turn. */
  async #begin(signal: AbortSignal | undefined): Promise<() => void> {
    this.#check(signal);
    const before = this.#turn;
    let end = (): void => {};
    this.#turn = new Promise<void>((resolve) => {
      end = resolve;
    });
    await before;
    try {
      this.#signal(signal).throwIfAborted();
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }

  async #inTurn(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const end = await this.#begin(signal);
    const own = this.#signal(signal);
    await orDOMException(own, () => work(own)).finally(end);
  }
}

/** Consecutive user messages are one turn: a picture that was appended, and the question about it. */
function inTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (last?.role !== "user" || message.role !== "user") turns.push(message);
    else turns[turns.length - 1] = { role: "user", content: [...partsOf(last), ...partsOf(message)] };
  }
  return turns;
}

function partsOf({ content }: ChatMessage): readonly ContentPart[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : content;
}

/** Counts the tokens of a conversation; one that ends with an answer is measured with an empty question. */
export function measured(
  session: ChatSession,
  messages: readonly ChatMessage[],
  signal?: AbortSignal,
): Promise<Measurement> {
  const asked: readonly ChatMessage[] =
    messages.at(-1)?.role === "user" ? messages : [...messages, { role: "user", content: "" }];
  return session.measure(asked, { ...(signal && { signal }) });
}

/** The error of a conversation of which nothing is left to drop. */
export function tooLong(promptTokens: number, contextTokens: number): QuotaExceededError {
  const message =
    `expected a prompt of fewer than ${contextTokens} tokens, got ${promptTokens}: ` +
    "send less text, or fewer pictures and frames";
  return new QuotaExceededError(message, promptTokens, contextTokens);
}

/** The conversation without its oldest question and answer; undefined if only a system message or nothing is left. */
function withoutOldest(messages: readonly ChatMessage[]): readonly ChatMessage[] | undefined {
  const first = messages[0]?.role === "system" ? 1 : 0;
  if (messages.length === first) return undefined;
  const next = messages.findIndex(({ role }, i) => i > first && role === "user");
  return [...messages.slice(0, first), ...(next < 0 ? [] : messages.slice(next))];
}

function constraintOf(constraint: unknown): GenerateOptions {
  if (constraint === undefined) return {};
  if (Object.prototype.toString.call(constraint) === "[object RegExp]") return { regex: constraint as RegExp };
  return { schema: constraint as object };
}

async function orDOMException<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw domException(error, signal);
  }
}

/** The reason of an abort, else what pages expect for an error of a session. */
function domException(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (!(error instanceof OcellusError)) return error;
  const name = (
    { OPTION: "SyntaxError", MEDIA: "EncodingError", DISPOSED: "InvalidStateError" } as Record<string, string>
  )[error.code];
  return name ? new DOMException(error.message, name) : error;
}
