import { OcellusError, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { checkPromptOptions } from "../models/chat/generate-options.js";
import type { SpecialTokens } from "../models/llava-onevision/literal-text.js";
import { RequestError } from "./api-error.js";
import { ChatRun } from "./chat-run.js";
import { type ReadMedia, readMessages } from "./content.js";
import { objectAt } from "./fields.js";
import { readRequest } from "./request.js";
import { type Lease, SessionPool } from "./session-pool.js";
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from "./wire.js";

/** Options of {@link ChatCompletions}. */
export interface ChatCompletionsOptions {
  /** Model name in requests and responses; "ocellus" if not given. */
  name?: string;
  /** Sessions cached between requests, so that follow-up requests reuse the KV cache; 1 if not given. */
  keepSessions?: number;
  /** Fetches URLs of pictures and clips other than `data:`; without it they are errors. */
  readMedia?: ReadMedia;
  /** As in `PromptOptions`, for all requests; requests cannot change it. "literal" if not given. */
  specialTokens?: SpecialTokens;
}

/** Options of a call besides the request. */
export interface CreateOptions {
  signal?: AbortSignal;
}

/**
 * OpenAI's chat completions API over a model in this program, with pictures and clips, streaming, structured output and logprobs.
 *
 * Unsupported fields that would change the answer throw {@link RequestError}, as do unknown fields. Without a temperature decoding is
 * greedy.
 * @example
 * ```ts
 * import { LlavaOneVision } from "ocellus";
 * import { ChatCompletions, type ChatCompletionRequest } from "ocellus/openai";
 *
 * const model = await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
 * const completions = new ChatCompletions(model);
 * const url = "data:image/png;base64,…";
 * const messages: ChatCompletionRequest["messages"] = [
 *   { role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text: "What is this?" }] },
 * ];
 * const { choices } = await completions.create({ messages });
 * for await (const chunk of await completions.create({ messages, stream: true })) output.append(chunk.choices[0]?.delta.content ?? "");
 * ```
 */
export class ChatCompletions {
  readonly name: string;
  readonly #pool: SessionPool;
  readonly #readMedia: ReadMedia | undefined;
  readonly #specialTokens: SpecialTokens;

  /** The caller disposes the model. Throws OptionError. */
  constructor(model: ChatModel, options: ChatCompletionsOptions = {}) {
    checkOptions("ChatCompletions", options, ["name", "keepSessions", "readMedia", "specialTokens"]);
    const { specialTokens = "literal" } = options;
    checkPromptOptions("ChatCompletions", { specialTokens });
    this.name = options.name ?? "ocellus";
    this.#pool = new SessionPool(model, options.keepSessions ?? 1);
    this.#readMedia = options.readMedia;
    this.#specialTokens = specialTokens;
  }

  /**
   * Creates a completion, or streams its chunks. Leaving the loop over the chunks early stops generation. Throws RequestError,
   * and errors of sessions.
   */
  create(
    request: ChatCompletionRequest & { stream: true },
    options?: CreateOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(request: ChatCompletionRequest & { stream?: false | null }, options?: CreateOptions): Promise<ChatCompletion>;
  create(
    request: ChatCompletionRequest,
    options?: CreateOptions,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
  async create(
    request: ChatCompletionRequest,
    options: CreateOptions = {},
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>> {
    const run = await this.start(request, options);
    return run.asked.stream ? run.chunks() : run.completion();
  }

  /**
   * For servers: starts a completion for an unvalidated request, and returns when the prompt is prepared, so that request errors are
   * thrown here.
   */
  async start(request: unknown, options: CreateOptions = {}): Promise<ChatRun> {
    checkOptions("ChatCompletions.create", options, ["signal"]);
    const { signal } = options;
    throwIfAborted(signal, "ChatCompletions.create");
    const fields = objectAt("request", request);
    const { model, stream, includeUsage, options: generate } = readRequest(fields);
    this.checkName(model);
    const abort = new AbortController();
    const forward = (): void => abort.abort(signal?.reason);
    signal?.addEventListener("abort", forward, { once: true });
    let lease: Lease | undefined;
    const end = (sound: boolean): void => {
      signal?.removeEventListener("abort", forward);
      lease?.giveBack(sound);
      lease = undefined;
    };
    try {
      const { messages, imageMode } = await readMessages(fields.messages, abort.signal, this.#readMedia);
      throwIfAborted(abort.signal, "ChatCompletions.create");
      lease = this.#pool.take(fields.messages as readonly unknown[]);
      let begin = (): void => {};
      const begun = new Promise<void>((resolve) => {
        begin = resolve;
      });
      const answer = lease.session.generate(messages, {
        ...generate,
        imageMode,
        specialTokens: this.#specialTokens,
        signal: abort.signal,
        onProgress: () => begin(),
      });
      const ended = answer.result.then(
        () => end(true),
        (error: unknown) => end(isHarmless(error)),
      );
      await Promise.race([begun, answer.result.then(() => ended)]);
      const asked = { stream, includeUsage, logprobs: generate.logprobs ?? false };
      return new ChatRun(answer, this.name, asked, () => abort.abort());
    } catch (error) {
      end(isHarmless(error));
      throw error;
    }
  }

  /** Throws RequestError for the name of another model. */
  checkName(model: string | undefined): void {
    if (model === undefined || model === this.name) return;
    throw new RequestError(
      "model",
      { expected: `"${this.name}"`, got: `"${model}"`, remedy: "send the name of the loaded model" },
      { status: 404, code: "model_not_found" },
    );
  }

  /** Disposes the cached sessions. */
  dispose(): void {
    this.#pool.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Whether an error left the session unchanged. */
function isHarmless(error: unknown): boolean {
  const codes = ["ABORTED", "OPTION", "PROMPT", "MEDIA", "SOURCE", "CONTEXT_OVERFLOW"];
  return error instanceof OcellusError && codes.includes(error.code);
}
