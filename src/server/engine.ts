import { DeviceLostError, MissingFeatureError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { AnswerResult } from "../models/chat/answer.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { type ApiError, apiError } from "../openai/api-error.js";
import { ChatCompletions, type ChatCompletionsOptions } from "../openai/chat-completions.js";
import type { ChatRun } from "../openai/chat-run.js";
import { createEmbeddings, type EmbeddingList, type EmbedTexts } from "../openai/embeddings.js";
import { isText } from "../openai/fields.js";
import type { ResponseRun } from "../openai/response-run.js";
import { Responses } from "../openai/responses.js";
import type { AnswerCounts, Ended } from "./backend.js";
import { type Api, apiOf, eventStream } from "./event-stream.js";
import { type HiddenError, hiddenError } from "./hidden-error.js";
import { parseBody } from "./json-body.js";
import { ID } from "./messages.js";
import { Refusal } from "./refusal.js";

/** After this time a stream starts before its prompt is prepared, so that the client receives headers. */
const PATIENCE_MS = 10_000;

/** A model to serve, and its name. */
export interface Served {
  readonly model: ChatModel;
  readonly name: string;
  readonly embed?: EmbedTexts;
}

export interface EngineEvents {
  /** Reports an error that clients are not told. */
  error(error: HiddenError): void;
  /** The device was lost; nothing that this process computes is of use. */
  lost(error: DeviceLostError): void;
}

/** Answers requests with a model: parses their JSON, and writes JSON or events. */
export class Engine {
  readonly #completions: ChatCompletions;
  readonly #responses: Responses;
  readonly #embed: EmbedTexts | undefined;

  constructor(
    { model, name, embed }: Served,
    options: Omit<ChatCompletionsOptions, "name">,
    private readonly events: EngineEvents,
  ) {
    this.#completions = new ChatCompletions(model, { ...options, name });
    this.#responses = new Responses(this.#completions);
    this.#embed = embed;
  }

  /** Answers; `ended` is called once, when the model has nothing left to do for the request. */
  async answer(request: Request, ended: (ended: Ended) => void): Promise<Response> {
    const path = new URL(request.url).pathname;
    const api = apiOf(path);
    const id = request.headers.get(ID) ?? undefined;
    const left = new AbortController();
    const signal = AbortSignal.any([request.signal, left.signal]);
    const arrivedMs = performance.now();
    const answers: AnswerCounts[] = [];
    let seconds = 0;
    const running: Promise<unknown>[] = [];
    try {
      const asked = parseBody(new Uint8Array(await request.arrayBuffer()));
      if (path === "/v1/embeddings") return json(await this.#embeddings(asked, signal));
      const begun = this.#begin(api, asked, signal);
      const counted = begun.then(async ({ result, results }) => {
        await result;
        seconds = (performance.now() - arrivedMs) / 1000;
        for (const { usage, timings } of await results) answers.push({ usage, timings });
      });
      running.push(counted.catch(() => {}));
      if (!isObject(asked) || asked.stream !== true) return json(await (await begun).whole());
      const patience = sleep(PATIENCE_MS);
      const run = await Promise.race([begun, patience.over]).finally(patience.cancel);
      const describe = (error: unknown): Promise<ApiError> => this.#told(error, api, id);
      return eventStream(run ? run.stream() : later(begun), api, describe, () => left.abort());
    } catch (error) {
      const { status, body } = await this.#told(error, api, id);
      return json(body, status);
    } finally {
      Promise.all(running).then(() => ended({ answers, seconds }));
    }
  }

  #begin(api: Api, request: unknown, signal: AbortSignal): Promise<Run> {
    return api === "chat"
      ? this.#completions.start(request, { signal }).then(runOfCompletion)
      : this.#responses.start(request, { signal }).then(runOfResponse);
  }

  async #embeddings(request: unknown, signal: AbortSignal): Promise<EmbeddingList> {
    if (isObject(request) && isText(request.model)) this.#completions.checkName(request.model);
    if (!this.#embed) throw new MissingFeatureError(NO_EMBEDDINGS);
    return createEmbeddings(this.#embed, this.#completions.name, request, signal);
  }

  /** The response for an error; never resolves where the device was lost: the request will run elsewhere. */
  async #told(error: unknown, api: Api, id: string | undefined): Promise<ApiError> {
    if (error instanceof Refusal) return error.reply;
    if (error instanceof DeviceLostError) {
      this.events.lost(error);
      return new Promise(() => {});
    }
    const failed = apiError(error, api);
    if (failed.status >= 500) this.events.error(hiddenError(error, id));
    return failed;
  }
}

const NO_EMBEDDINGS = {
  where: "/v1/embeddings",
  expected: "a model with text embeddings",
  got: "one without",
  remedy: "serve another model",
};

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/** A running answer of either API. */
interface Run {
  readonly result: Promise<AnswerResult>;
  readonly results: Promise<AnswerResult[]>;
  readonly whole: () => Promise<unknown>;
  readonly stream: () => AsyncIterable<unknown>;
}

function runOfCompletion(run: ChatRun): Run {
  return { result: run.result, results: run.results, whole: () => run.completion(), stream: () => run.chunks() };
}

function runOfResponse(run: ResponseRun): Run {
  return { result: run.result, results: run.results, whole: () => run.response(), stream: () => run.events() };
}

async function* later(begun: Promise<Run>): AsyncGenerator<unknown> {
  yield* (await begun).stream();
}

function sleep(ms: number): { over: Promise<undefined>; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return { over, cancel: () => clearTimeout(timer) };
}
