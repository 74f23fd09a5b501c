import { throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { checkRunOptions } from "./answer-runs.js";
import { RequestError } from "./api-error.js";
import { ChatCompletions, type ChatCompletionsOptions, type CreateOptions } from "./chat-completions.js";
import { checkDepth, objectAt } from "./fields.js";
import { ResponseRun } from "./response-run.js";
import { ResponseStore } from "./response-store.js";
import { type InputItem, readInput, readItems } from "./responses-input.js";
import { readResponseRequest } from "./responses-request.js";
import type { ModelResponse, ResponseEvent, ResponseRequest } from "./responses-wire.js";

/** Options of {@link Responses}. With `ChatCompletions` only `keepResponses` may be given. */
export interface ResponsesOptions extends ChatCompletionsOptions {
  /** Responses that may be continued by `previous_response_id`; 64 if not given, and at most 64 Mi characters together. */
  keepResponses?: number;
}

/**
 * OpenAI's Responses API over a model in this program: text, pictures and clips, streaming, structured output, and conversations that
 * continue a response by its id.
 * @example
 * ```ts
 * import { LlavaOneVision } from "ocellus";
 * import { Responses } from "ocellus/openai";
 *
 * const model = await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
 * const responses = new Responses(model);
 * const { id, output } = await responses.create({ input: "Name a colour." });
 * const next = await responses.create({ input: "And another?", previous_response_id: id });
 * console.log(output[0]?.content[0]?.text, next.output[0]?.content[0]?.text);
 * ```
 */
export class Responses {
  readonly #completions: ChatCompletions;
  readonly #store: ResponseStore;
  readonly #isOwn: boolean;

  /** Over a model, or with the name, the sessions and the media of chat completions. The caller disposes either. Throws OptionError. */
  constructor(of: ChatModel | ChatCompletions, options: ResponsesOptions = {}) {
    const { keepResponses = 64, ...others } = options;
    this.#isOwn = !(of instanceof ChatCompletions);
    if (of instanceof ChatCompletions) checkOptions("Responses", options, ["keepResponses"]);
    else checkRunOptions("Responses", others, ["name", "readMedia", "maxPixels"]);
    this.#completions = of instanceof ChatCompletions ? of : new ChatCompletions(of, others);
    this.#store = new ResponseStore(keepResponses);
  }

  /** Model name in requests and responses. */
  get name(): string {
    return this.#completions.name;
  }

  /**
   * Creates a response, or streams its events. Leaving the loop over the events early stops generation. Throws RequestError, and errors
   * of sessions.
   */
  create(request: ResponseRequest & { stream: true }, options?: CreateOptions): Promise<AsyncIterable<ResponseEvent>>;
  create(request: ResponseRequest & { stream?: false | null }, options?: CreateOptions): Promise<ModelResponse>;
  create(request: ResponseRequest, options?: CreateOptions): Promise<ModelResponse | AsyncIterable<ResponseEvent>>;
  async create(
    request: ResponseRequest,
    options: CreateOptions = {},
  ): Promise<ModelResponse | AsyncIterable<ResponseEvent>> {
    const run = await this.start(request, options);
    return run.asked.stream ? run.events() : run.response();
  }

  /**
   * For servers: starts a response for an unvalidated request, and returns when the prompt is prepared, so that request errors are
   * thrown here.
   */
  async start(request: unknown, options: CreateOptions = {}): Promise<ResponseRun> {
    const where = "Responses.create";
    checkOptions(where, options, ["signal"]);
    throwIfAborted(options.signal, where);
    checkDepth("request", request);
    const fields = objectAt("request", request);
    const asked = readResponseRequest(fields);
    this.#completions.checkName(asked.model);
    const items = [...this.#previous(asked.previous), ...readItems(fields.input, (id) => this.#store.answer(id))];
    const { runs, media, name } = this.#completions;
    const answering = await runs.start({
      where,
      conversation: [
        ...(asked.instructions === undefined ? [] : [asked.instructions]),
        ...items.map(({ item }) => item),
      ],
      read: async (signal) => {
        const { messages, imageMode } = await readInput(items, asked.instructions, signal, media);
        return { messages, options: { imageMode } };
      },
      options: asked.options,
      signal: options.signal,
    });
    const run = new ResponseRun(answering, name, asked);
    if (asked.store)
      run
        .message()
        .then((message) => this.#store.keep(run.id, items, message))
        .catch(() => {});
    return run;
  }

  #previous(id: string | undefined): readonly InputItem[] {
    if (id === undefined) return [];
    const items = this.#store.conversation(id);
    if (items) return items;
    throw new RequestError(
      "previous_response_id",
      {
        expected: `the id of a stored response: one of the latest ${this.#store.most} that were not sent with store: false`,
        got: `"${id.slice(0, 80)}"`,
        remedy: "send the conversation as input, a list of messages",
      },
      { status: 400, code: "previous_response_not_found" },
    );
  }

  /** Disposes the cached sessions, unless they belong to chat completions. */
  dispose(): void {
    if (this.#isOwn) this.#completions.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
