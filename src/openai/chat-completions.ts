import type { ChatModel } from "../models/chat-model.js";
import { checkPromptOptions } from "../models/generate-options.js";
import type { SpecialTokens } from "../models/llava-onevision/literal-text.js";
import { OcellusError, throwIfAborted } from "../runtime/errors.js";
import { checkOptions } from "../runtime/options.js";
import { RequestError } from "./api-error.js";
import { ChatRun } from "./chat-run.js";
import { type ReadMedia, readMessages } from "./content.js";
import { objectAt } from "./fields.js";
import { readRequest } from "./request.js";
import { type Lease, SessionPool } from "./session-pool.js";
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from "./wire.js";

/** What the model is called, and what is kept between requests. */
export interface ChatCompletionsOptions {
  /** What the model is called in requests and answers; "ocellus" if not given. */
  name?: string;
  /** Sessions that are kept between requests, so that a conversation goes on without being computed anew; 1 if not given. */
  keepSessions?: number;
  /** Reads URLs of pictures and clips that are not `data:`; without it they are errors. */
  readMedia?: ReadMedia;
  /** As in `PromptOptions`, for every request; no field of a request changes it. "literal" if not given. */
  specialTokens?: SpecialTokens;
}

/** What does not belong to the request itself. */
export interface CreateOptions {
  signal?: AbortSignal;
}

/**
 * OpenAI's chat completions by a model in this program, with pictures and clips, streaming, structured answers and log
 * probabilities.
 *
 * ```ts
 * import { LlavaOneVision } from "ocellus";
 * import { ChatCompletions } from "ocellus/openai";
 *
 * const model = await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
 * const completions = new ChatCompletions(model);
 * const url = "data:image/png;base64,…";
 * const messages = [{ role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text: "What is this?" }] }];
 * const { choices } = await completions.create({ messages });
 * for await (const chunk of await completions.create({ messages, stream: true })) output.append(chunk.choices[0]?.delta.content ?? "");
 * ```
 *
 * Fields that would change the answer and are not understood throw {@link RequestError}, as do unknown ones. An absent temperature
 * takes the most probable tokens.
 */
export class ChatCompletions {
  readonly name: string;
  readonly #pool: SessionPool;
  readonly #readMedia: ReadMedia | undefined;
  readonly #specialTokens: SpecialTokens;

  /** The model stays the caller's. Throws OptionError. */
  constructor(model: ChatModel, options: ChatCompletionsOptions = {}) {
    checkOptions("ChatCompletions", options, ["name", "keepSessions", "readMedia", "specialTokens"]);
    const { specialTokens = "literal" } = options;
    checkPromptOptions("ChatCompletions", { specialTokens });
    this.name = options.name ?? "ocellus";
    this.#pool = new SessionPool(model, options.keepSessions ?? 1);
    this.#readMedia = options.readMedia;
    this.#specialTokens = specialTokens;
  }

  /** A whole answer, or its chunks. Leaving the loop over the chunks early ends the answer. Throws RequestError, and what sessions do. */
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
   * For servers: begins an answer to a request of any shape, and returns when the prompt stands, so that what is wrong with the
   * request is thrown here.
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
      { expected: `"${this.name}"`, got: `"${model}"`, remedy: "send the name of the model that is loaded" },
      { status: 404, code: "model_not_found" },
    );
  }

  /** Gives the kept sessions back. */
  dispose(): void {
    this.#pool.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Whether a session is as it was before the call that threw this. */
function isHarmless(error: unknown): boolean {
  const codes = ["ABORTED", "OPTION", "PROMPT", "MEDIA", "SOURCE", "CONTEXT_OVERFLOW"];
  return error instanceof OcellusError && codes.includes(error.code);
}
