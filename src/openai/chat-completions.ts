import { throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { AnswerRuns, type AnswerRunsOptions, checkRunOptions } from "./answer-runs.js";
import { RequestError } from "./api-error.js";
import { ChatRun } from "./chat-run.js";
import { type MediaOptions, readMessages } from "./content.js";
import { checkDepth, objectAt } from "./fields.js";
import { readRequest } from "./request.js";
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from "./wire.js";

/** Options of {@link ChatCompletions}. */
export interface ChatCompletionsOptions extends AnswerRunsOptions, MediaOptions {
  /** Model name in requests and responses; "ocellus" if not given. */
  name?: string;
}

/** Options of a call besides the request. */
export interface CreateOptions {
  signal?: AbortSignal | undefined;
}

/**
 * OpenAI's chat completions API over a model in this program, with pictures and clips, several choices, streaming, structured output and
 * logprobs.
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
  /** @internal */
  readonly runs: AnswerRuns;
  /** @internal */
  readonly media: MediaOptions;

  /** The caller disposes the model. Throws OptionError. */
  constructor(model: ChatModel, options: ChatCompletionsOptions = {}) {
    checkRunOptions("ChatCompletions", options, ["name", "readMedia", "maxPixels"]);
    this.name = options.name ?? "ocellus";
    this.runs = new AnswerRuns(model, "ChatCompletions", options);
    this.media = { readMedia: options.readMedia, maxPixels: options.maxPixels };
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
    const where = "ChatCompletions.create";
    checkOptions(where, options, ["signal"]);
    throwIfAborted(options.signal, where);
    checkDepth("request", request);
    const fields = objectAt("request", request);
    const { model, stream, includeUsage, choices, options: generate } = readRequest(fields);
    this.checkName(model);
    const run = await this.runs.start({
      where,
      conversation: fields.messages as readonly unknown[],
      read: async (signal) => {
        const { messages, imageMode } = await readMessages(fields.messages, signal, this.media);
        return { messages, options: { imageMode } };
      },
      options: generate,
      count: choices,
      signal: options.signal,
    });
    return new ChatRun(run, this.name, { stream, includeUsage, logprobs: generate.logprobs ?? false });
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
    this.runs.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
