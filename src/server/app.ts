import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { causeMessage } from "../base/cause-message.js";
import { MissingFeatureError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { AnswerResult } from "../models/chat/answer.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { type ApiError, apiError, failure } from "../openai/api-error.js";
import type { ChatCompletions } from "../openai/chat-completions.js";
import type { ChatRun } from "../openai/chat-run.js";
import { createEmbeddings, type EmbeddingList, type EmbedTexts } from "../openai/embeddings.js";
import { isText } from "../openai/fields.js";
import type { ResponseRun } from "../openai/response-run.js";
import { Responses } from "../openai/responses.js";
import { eventStream } from "./event-stream.js";
import { Metrics } from "./metrics.js";
import type { serverPackages } from "./packages.js";
import { Queue } from "./queue.js";

/** After this time a stream starts before its prompt is prepared, so that the client receives headers. */
const PATIENCE_MS = 10_000;
const RETRY_SECONDS = 1;

export interface AppOptions {
  readonly parallel: number;
  readonly queue: number;
  readonly timeoutSeconds: number;
  readonly maxBodyBytes: number;
  readonly apiKey?: string | undefined;
  /** Allowed origin of pages, or "*". */
  readonly cors?: string | undefined;
  /** Returns the bytes reserved on the device. */
  readonly gpuBytes: () => number;
  /** Logs errors that are not disclosed to clients. */
  readonly log: (error: unknown) => void;
}

/** The HTTP routes over a model. */
export class App {
  readonly hono: Hono;
  readonly queue: Queue;
  readonly metrics: Metrics;
  readonly #stopping = new AbortController();
  readonly #created = Math.floor(Date.now() / 1000);
  readonly #key: Buffer | undefined;
  #completions: ChatCompletions | undefined;
  #responses: Responses | undefined;
  #embed: EmbedTexts | undefined;
  /** Why requests are rejected; undefined when ready. */
  #unready: string | undefined = "the model is being loaded";

  constructor(
    { Hono, bodyLimit, cors, prometheus }: Awaited<ReturnType<typeof serverPackages>>,
    private readonly options: AppOptions,
  ) {
    this.queue = new Queue(options.parallel, options.queue);
    this.metrics = new Metrics(prometheus, {
      active: () => this.queue.active,
      queued: () => this.queue.length,
      gpuBytes: options.gpuBytes,
    });
    this.#key = options.apiKey === undefined ? undefined : digest(options.apiKey);
    const app = new Hono();
    this.hono = app;
    app.use(async (context, next) => {
      await next();
      this.metrics.request(routeOf(context.req.path), context.res.status);
    });
    // DNS rebinding: a page whose host name resolves to this machine is same-origin to the browser.
    app.use(async (context, next) => {
      const origin = context.req.header("origin");
      if (origin === undefined || options.cors === "*" || options.cors === origin) return next();
      const allowed = options.cors === undefined ? "no request of a page" : `requests of pages of ${options.cors}`;
      return reply(context, failure(403, `expected ${allowed}, got one of ${origin}; \`--cors\` allows it`, "origin"));
    });
    if (options.cors !== undefined) app.use(cors({ origin: options.cors }));
    app.get("/health", (context) =>
      context.json(
        { status: this.#unready ?? "ready", active: this.queue.active, queued: this.queue.length },
        this.#unready === undefined ? 200 : 503,
      ),
    );
    app.get("/metrics", async (context) =>
      context.body(await this.metrics.text(), 200, { "content-type": this.metrics.contentType }),
    );
    app.use("/v1/*", async (context, next) => {
      if (this.#authorized(context.req.header("authorization"))) return next();
      return reply(
        context,
        failure(401, "expected the server's API key as `Authorization: Bearer …`", "invalid_api_key"),
      );
    });
    app.get("/v1/models", (context) =>
      context.json({ object: "list", data: this.#completions ? [this.#model()] : [] }),
    );
    app.get("/v1/models/:id{.+}", (context) => {
      if (context.req.param("id") === this.#completions?.name) return context.json(this.#model());
      return reply(context, failure(404, `no model \`${context.req.param("id")}\` here`, "model_not_found", "model"));
    });
    const limit = bodyLimit({
      maxSize: options.maxBodyBytes,
      onError: (context) =>
        reply(context, failure(413, `expected a body of at most ${options.maxBodyBytes} bytes`, "body_too_large")),
    });
    app.post("/v1/chat/completions", limit, (context) => this.#answer(context));
    app.post("/v1/responses", limit, (context) => this.#answer(context));
    app.post("/v1/embeddings", limit, (context) => this.#answer(context));
    app.notFound((context) => {
      const { method, path } = context.req;
      const allowed = ROUTES[path];
      if (allowed === undefined || allowed === method) {
        return reply(context, failure(404, `nothing at ${method} ${path}`, "not_found"));
      }
      return reply(context, failure(405, `expected ${allowed} ${path}, got ${method}`, "method_not_allowed"), {
        allow: allowed,
      });
    });
    app.onError((error, context) => this.#failed(context, error));
  }

  /** Starts to accept requests. */
  ready(completions: ChatCompletions, embed?: EmbedTexts): void {
    this.#embed = embed;
    this.#completions = completions;
    this.#responses = new Responses(completions);
    this.#unready = undefined;
  }

  /** Rejects new requests; running ones continue. */
  refuse(reason: string): void {
    this.#unready = reason;
  }

  /** Aborts the running requests. */
  abort(): void {
    this.#stopping.abort(new Error("the server is stopping"));
  }

  #model() {
    return { id: this.#completions?.name, object: "model", created: this.#created, owned_by: "ocellus" };
  }

  #authorized(header: string | undefined): boolean {
    if (!this.#key) return true;
    const given = /^Bearer (.+)$/i.exec(header ?? "")?.[1];
    return given !== undefined && timingSafeEqual(digest(given), this.#key);
  }

  async #answer(context: Context): Promise<Response> {
    const completions = this.#completions;
    if (this.#unready !== undefined || !completions) {
      return reply(context, failure(503, this.#unready ?? "no model", "unavailable"), {
        "retry-after": String(RETRY_SECONDS),
      });
    }
    const arrived = performance.now();
    // Other content types can be sent cross-origin without a CORS preflight.
    const given = context.req.header("content-type");
    if (!/^application\/json\b/i.test(given ?? "")) {
      return reply(
        context,
        failure(
          415,
          `expected content-type: application/json, got ${given ?? "none"}; with curl add -H 'content-type: application/json'`,
          "unsupported_media_type",
        ),
      );
    }
    let request: unknown;
    try {
      request = JSON.parse(await context.req.text());
    } catch (cause) {
      const got = causeMessage(cause);
      return reply(context, failure(400, `expected JSON in the body, got ${got}`, "invalid_json"));
    }
    if (this.queue.full) {
      const message = `expected at most ${this.queue.parallel} concurrent and ${this.queue.most} waiting requests`;
      return reply(context, failure(429, `${message}; try again later`, "queue_full"), {
        "retry-after": String(RETRY_SECONDS),
      });
    }
    const left = new AbortController();
    const timeout = AbortSignal.timeout(this.options.timeoutSeconds * 1000);
    const signal = AbortSignal.any([context.req.raw.signal, left.signal, timeout, this.#stopping.signal]);
    const api = context.req.path === "/v1/responses" ? "responses" : "chat";
    const errorOf = (error: unknown): ApiError => {
      if (timeout.aborted) return failure(504, `no complete answer within ${this.options.timeoutSeconds} s`, "timeout");
      if (this.#stopping.signal.aborted) return failure(503, "the server is stopping", "unavailable");
      return this.#told(error, api);
    };
    try {
      if (context.req.path === "/v1/embeddings") {
        return context.json(await this.#embeddings(completions, request, signal));
      }
      const begun = this.#begin(api, request, signal, arrived);
      if (!isObject(request) || request.stream !== true) return context.json(await (await begun).whole());
      const patience = sleep(PATIENCE_MS);
      const run = await Promise.race([begun, patience.over]).finally(patience.cancel);
      const errorEvent = (error: unknown, sequence_number: number): object => {
        const { body } = errorOf(error);
        return api === "chat" ? body : { type: "error", sequence_number, ...body };
      };
      const events = run ? run.stream() : later(begun);
      return eventStream(events, errorEvent, () => left.abort(), api === "responses");
    } catch (error) {
      const failed = errorOf(error);
      // The official client would retry a timeout twice.
      return reply(context, failed, failed.status === 504 ? { "x-should-retry": "false" } : {});
    }
  }

  async #embeddings(completions: ChatCompletions, request: unknown, signal: AbortSignal): Promise<EmbeddingList> {
    if (isObject(request) && isText(request.model)) completions.checkName(request.model);
    const embed = this.#embed;
    if (!embed) throw new MissingFeatureError(NO_EMBEDDINGS);
    const leave = await this.queue.enter(signal);
    return createEmbeddings(embed, completions.name, request, signal).finally(leave);
  }

  /** Waits for a slot and starts the request; the slot is released when the answer has ended, read or not. */
  async #begin(api: "chat" | "responses", request: unknown, signal: AbortSignal, arrived: number): Promise<Run> {
    const leave = await this.queue.enter(signal);
    try {
      const run = await (api === "chat"
        ? this.#completions!.start(request, { signal }).then(runOfCompletion)
        : this.#responses!.start(request, { signal }).then(runOfResponse));
      run.result.then((result) => this.metrics.answer(result, (performance.now() - arrived) / 1000)).catch(() => {});
      run.results
        .then(([, ...others]) => others.forEach((result) => void this.metrics.tokens(result)))
        .catch(() => {})
        .finally(leave);
      return run;
    } catch (error) {
      leave();
      throw error;
    }
  }

  #failed(context: Context, error: unknown): Response {
    return reply(context, this.#told(error));
  }

  #told(error: unknown, api: "chat" | "responses" = "chat"): ApiError {
    const failed = apiError(error, api);
    if (failed.status >= 500) this.options.log(error);
    if (failed.body.error.code === "device_lost") this.refuse("the GPU device was lost");
    return failed;
  }
}

const NO_EMBEDDINGS = {
  where: "/v1/embeddings",
  expected: "a model with text embeddings",
  got: "one without",
  remedy: "serve another model",
};

const ROUTES: Readonly<Record<string, string>> = {
  "/health": "GET",
  "/metrics": "GET",
  "/v1/models": "GET",
  "/v1/chat/completions": "POST",
  "/v1/responses": "POST",
  "/v1/embeddings": "POST",
};

/** Bounds the route labels of the metrics. */
function routeOf(path: string): string {
  if (path.startsWith("/v1/models/")) return "/v1/models/:id";
  return Object.hasOwn(ROUTES, path) ? path : "other";
}

function reply(context: Context, { status, body }: ApiError, headers: Record<string, string> = {}): Response {
  return context.json(body, status as ContentfulStatusCode, headers);
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
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

/** A model to serve, and its name. */
export interface Served {
  readonly model: ChatModel;
  readonly name: string;
  readonly embed?: EmbedTexts;
}
