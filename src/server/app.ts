import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { causeMessage } from "../base/cause-message.js";
import { MissingFeatureError, shown } from "../base/errors.js";
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
import { Bodies, type Body, BodyError } from "./bodies.js";
import { eventStream } from "./event-stream.js";
import { Metrics } from "./metrics.js";
import type { serverPackages } from "./packages.js";
import { Queue } from "./queue.js";

/** After this time a stream starts before its prompt is prepared, so that the client receives headers. */
const PATIENCE_MS = 10_000;
const RETRY: Record<string, string> = { "retry-after": "1" };
/** Bytes of the bodies of all requests, in bodies of the maximum size. */
const BODIES_IN_ALL = 4;
/** Milliseconds until the next bytes of a body must arrive. */
const BODY_IDLE_MS = 10_000;

export interface AppOptions {
  readonly parallel: number;
  readonly queue: number;
  readonly timeoutSeconds: number;
  readonly maxBodyBytes: number;
  /** Host names of requests besides addresses and localhost; undefined for any. */
  readonly hosts?: readonly string[] | undefined;
  readonly apiKey?: string | undefined;
  /** Milliseconds until the next bytes of a body must arrive (10,000). */
  readonly bodyIdleMs?: number | undefined;
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
  readonly #bodies: Bodies;
  /** Requests whose body is being read. */
  #reading = 0;
  /** Why requests are rejected; undefined when ready. */
  #unready: string | undefined = "the model is being loaded";

  constructor(
    { Hono, cors, prometheus }: Awaited<ReturnType<typeof serverPackages>>,
    private readonly options: AppOptions,
  ) {
    this.queue = new Queue(options.parallel, options.queue);
    this.metrics = new Metrics(prometheus, {
      active: () => this.queue.active,
      queued: () => this.queue.length,
      gpuBytes: options.gpuBytes,
    });
    this.#bodies = new Bodies({
      most: options.maxBodyBytes,
      total: BODIES_IN_ALL * options.maxBodyBytes,
      idleMs: options.bodyIdleMs ?? BODY_IDLE_MS,
    });
    this.#key = options.apiKey === undefined ? undefined : digest(options.apiKey);
    const app = new Hono();
    this.hono = app;
    app.use(async (context, next) => {
      await next();
      this.metrics.request(routeOf(context.req.path), context.res.status);
    });
    // DNS rebinding: a page whose host name resolves to this machine is same-origin to the browser, and reads without an origin.
    app.use(async (context, next) => {
      const host = context.req.header("host");
      if (host === undefined || isKnownHost(host, options.hosts)) return next();
      const message = `expected a request to this machine's address or to a host that \`--allow-host\` names, got ${shown(host)}`;
      return reply(context, failure(403, message, "host"));
    });
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
    for (const path of ["/metrics", "/v1/*"]) {
      app.use(path, async (context, next) => {
        if (this.#authorized(context.req.header("authorization"))) return next();
        return reply(
          context,
          failure(401, "expected the server's API key as `Authorization: Bearer …`", "invalid_api_key"),
        );
      });
    }
    app.get("/metrics", async (context) =>
      context.body(await this.metrics.text(), 200, { "content-type": this.metrics.contentType }),
    );
    app.get("/v1/models", (context) =>
      context.json({ object: "list", data: this.#completions ? [this.#model()] : [] }),
    );
    app.get("/v1/models/:id{.+}", (context) => {
      if (context.req.param("id") === this.#completions?.name) return context.json(this.#model());
      return reply(context, failure(404, `no model \`${context.req.param("id")}\` here`, "model_not_found", "model"));
    });
    app.post("/v1/chat/completions", (context) => this.#answer(context));
    app.post("/v1/responses", (context) => this.#answer(context));
    app.post("/v1/embeddings", (context) => this.#answer(context));
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
      return reply(context, failure(503, this.#unready ?? "no model", "unavailable"), RETRY);
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
    // Before the body, which may be long.
    if (this.#reading >= this.queue.places) {
      const message = `expected at most ${this.queue.parallel} concurrent and ${this.queue.most} waiting requests`;
      return reply(context, failure(429, `${message}; try again later`, "queue_full"), RETRY);
    }
    let body: Body;
    this.#reading++;
    try {
      body = await this.#bodies.read(context.req.raw);
    } catch (error) {
      if (!(error instanceof BodyError)) throw error;
      // The rest of the body is not read.
      return reply(context, error.reply, { connection: "close", ...(error.reply.status === 429 && RETRY) });
    } finally {
      this.#reading--;
    }
    let request: unknown;
    try {
      request = JSON.parse(body.text);
    } catch (cause) {
      body.release();
      const got = causeMessage(cause);
      return reply(context, failure(400, `expected JSON in the body, got ${got}`, "invalid_json"));
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
        return context.json(await this.#embeddings(completions, request, signal).finally(body.release));
      }
      const begun = this.#begin(api, request, signal, arrived, body.release);
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
  async #begin(
    api: "chat" | "responses",
    request: unknown,
    signal: AbortSignal,
    arrived: number,
    release: () => void,
  ): Promise<Run> {
    const free = await this.queue.enter(signal).catch((error) => {
      release();
      throw error;
    });
    const leave = (): void => {
      free();
      release();
    };
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

/** Whether a Host header names this machine by address, is localhost, or one of `hosts`. */
function isKnownHost(header: string, hosts: readonly string[] | undefined): boolean {
  if (hosts === undefined) return true;
  const name = header.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "");
  // Addresses cannot be rebound.
  return (
    /^\[[\da-f:.%]+\]$/.test(name) ||
    /^(\d{1,3}\.){3}\d{1,3}$/.test(name) ||
    /^(.+\.)?localhost$/.test(name) ||
    hosts.includes(name)
  );
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
