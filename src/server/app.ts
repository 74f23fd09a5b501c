import type { IncomingMessage } from "node:http";
import type { Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { shown } from "../base/errors.js";
import { type ApiError, type ApiErrorBody, apiError, failure } from "../openai/api-error.js";
import { type ApiKey, ApiKeys } from "./api-keys.js";
import type { Backend, BackendEvents, Ended, LoadProgress, MemoryUse, ReadyProcess } from "./backend.js";
import { Bodies } from "./bodies.js";
import { Deadline } from "./deadline.js";
import { EVENT_STREAM } from "./event-stream.js";
import { type HiddenError, hiddenError } from "./hidden-error.js";
import { isKnownHost } from "./known-host.js";
import type { Log } from "./log.js";
import { Metrics } from "./metrics.js";
import type { serverPackages } from "./packages.js";
import { priorityOf } from "./priority.js";
import { Queue } from "./queue.js";
import { callerOf, RateLimit } from "./rate-limit.js";
import { Refusal } from "./refusal.js";
import { isEvents, Relay } from "./relay.js";
import { RequestRecord } from "./request-record.js";

/** That of no model. */
const NO_MEMORY: MemoryUse = { gpuBytes: 0, usedBlocks: 0, sharedBlocks: 0, preemptions: 0 };
const RETRY: Readonly<Record<string, string>> = { "retry-after": "1" };
/** Bytes of the bodies of all requests, in bodies of the maximum size. */
const BODIES_IN_ALL = 4;
/** Milliseconds until the next bytes of a body must arrive. */
const BODY_IDLE_MS = 10_000;

export interface AppOptions {
  /** Model name in requests and responses. */
  readonly name: string;
  readonly parallel: number;
  readonly queue: number;
  readonly timeoutSeconds: number;
  readonly maxBodyBytes: number;
  /** Host names of requests besides addresses and localhost; undefined for any. */
  readonly hosts?: readonly string[] | undefined;
  /** Keys of which requests need one; none for an open server. */
  readonly apiKeys?: readonly ApiKey[] | undefined;
  /** Requests a minute of one key, or of one address where there are no keys. */
  readonly rateLimit?: number | undefined;
  /** Milliseconds until the next bytes of a body must arrive (10,000). */
  readonly bodyIdleMs?: number | undefined;
  /** Allowed origin of pages, or "*". */
  readonly cors?: string | undefined;
  readonly log: Log;
  /** Whether messages of unexpected errors are logged, which may quote requests. */
  readonly logMessages?: boolean | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Called when the model is lost for good. */
  readonly onFailed?: ((error: Error) => void) | undefined;
}

interface Env {
  Bindings: { incoming: IncomingMessage };
  Variables: {
    record: RequestRecord;
    /** Headers of the response, whatever it is. */
    headers: Record<string, string>;
  };
}
type RequestContext = Context<Env>;

/** The HTTP routes. What a request costs is bounded here; its answer comes from a backend, to which bodies go unparsed. */
export class App implements BackendEvents {
  readonly hono: Hono<Env>;
  readonly queue: Queue;
  readonly metrics: Metrics;
  /** Those of the requests that are being answered. */
  readonly #deadlines = new Set<Deadline>();
  readonly #created = Math.floor(Date.now() / 1000);
  readonly #keys: ApiKeys;
  readonly #rates: RateLimit | undefined;
  readonly #bodies: Bodies;
  /** Requests whose body is being read. */
  #reading = 0;
  /** Why there is no model; undefined if there is one. */
  #loadingWhy: string | undefined = "the model is being loaded";
  /** Why no more requests are accepted. */
  #closing: string | undefined;
  /** Whether the model was loaded once. */
  #started = false;
  #memory = NO_MEMORY;
  /** When loading began, and how many seconds it took the last time. */
  #loading = { sinceMs: performance.now(), seconds: 1 };

  constructor(
    { Hono, cors, prometheus }: Awaited<ReturnType<typeof serverPackages>>,
    private readonly backend: Backend,
    private readonly options: AppOptions,
  ) {
    this.queue = new Queue(options.parallel, options.queue);
    this.metrics = new Metrics(prometheus, {
      active: () => this.queue.active,
      queued: () => this.queue.length,
      memory: () => this.#memory,
      ready: () => Number(this.#unready === undefined),
    });
    this.#bodies = new Bodies({
      most: options.maxBodyBytes,
      total: BODIES_IN_ALL * options.maxBodyBytes,
      idleMs: options.bodyIdleMs ?? BODY_IDLE_MS,
    });
    this.#keys = new ApiKeys(options.apiKeys ?? []);
    this.#rates = options.rateLimit === undefined ? undefined : new RateLimit(options.rateLimit);
    const app = new Hono<Env>();
    this.hono = app;
    app.use(async (context, next) => {
      const { method, path } = context.req;
      const record = new RequestRecord(context.req.header("x-request-id"), method, routeOf(path), addressOf(context));
      context.set("record", record);
      context.set("headers", { "x-request-id": record.id });
      await next();
      for (const [name, value] of Object.entries(context.get("headers"))) context.res.headers.set(name, value);
      record.status = context.res.status;
      this.metrics.request(record.route, record.status);
      if (!(PROBES.has(record.route) && [200, 503].includes(record.status))) void record.write(options.log);
    });
    // DNS rebinding: a page whose host name resolves to this machine is same-origin to the browser, and reads without an origin.
    app.use(async (context, next) => {
      const host = context.req.header("host");
      if (host === undefined || isKnownHost(host, options.hosts)) return next();
      const message = `expected a request to this machine's address or to a host that \`--allow-host\` names, got ${shown(host)}`;
      throw new Refusal(failure(403, message, "host"));
    });
    app.use(async (context, next) => {
      const origin = context.req.header("origin");
      if (origin === undefined || options.cors === "*" || options.cors === origin) return next();
      const allowed = options.cors === undefined ? "no request of a page" : `requests of pages of ${options.cors}`;
      throw new Refusal(failure(403, `expected ${allowed}, got one of ${origin}; \`--cors\` allows it`, "origin"));
    });
    if (options.cors !== undefined) app.use(cors({ origin: options.cors, exposeHeaders: [...EXPOSED] }));
    app.get("/livez", (context) => context.json({ status: "alive" }));
    app.get("/startupz", (context) => this.#probe(context, this.#started));
    app.get("/readyz", (context) => this.#probe(context, this.#unready === undefined));
    app.get("/health", (context) => this.#probe(context, this.#unready === undefined));
    for (const path of ["/metrics", "/v1/*"]) {
      app.use(path, async (context, next) => {
        if (this.#keys.needed) {
          const name = this.#keys.nameOf(context.req.header("authorization"));
          if (name === undefined) throw new Refusal(UNAUTHORIZED);
          context.get("record").key = name;
        }
        return next();
      });
    }
    app.get("/metrics", async (context) =>
      context.body(await this.metrics.text(), 200, { "content-type": this.metrics.contentType }),
    );
    app.get("/v1/models", (context) => context.json({ object: "list", data: this.#started ? [this.#model()] : [] }));
    app.get("/v1/models/:id{.+}", (context) => {
      const id = context.req.param("id");
      if (this.#started && id === options.name) return context.json(this.#model());
      throw new Refusal(failure(404, `no model \`${id}\` here`, "model_not_found", "model"));
    });
    for (const path of ANSWERED) app.post(path, (context) => this.#answer(context));
    app.notFound((context) => {
      const { method, path } = context.req;
      const allowed = ROUTES[path];
      if (allowed === undefined || allowed === method) {
        return this.#reply(context, failure(404, `nothing at ${method} ${path}`, "not_found"));
      }
      const wrong = failure(405, `expected ${allowed} ${path}, got ${method}`, "method_not_allowed");
      return this.#reply(context, wrong, { allow: allowed });
    });
    app.onError((error, context) => {
      const { reply, headers } = this.#refusal(error);
      return this.#reply(context, reply, headers);
    });
  }

  ready({ pid, seconds, adapter }: ReadyProcess): void {
    this.#loading = { sinceMs: performance.now(), seconds };
    this.#started = true;
    this.#loadingWhy = undefined;
    this.options.log.event("info", "model_ready", { pid, seconds: Math.round(seconds * 1000) / 1000, adapter });
    this.queue.resume();
  }

  lost(reason: string): void {
    this.metrics.loss();
    this.options.log.event("error", "model_lost", { reason });
    this.queue.pause();
    this.#memory = NO_MEMORY;
    this.#loading = { ...this.#loading, sinceMs: performance.now() };
    this.#loadingWhy = "the model is being loaded again";
  }

  failed(error: Error): void {
    this.#stop("the model was lost too often: the server ends");
    this.options.onFailed?.(error);
  }

  memory(use: MemoryUse): void {
    this.#memory = use;
  }

  error({ name, message, stack, known, request }: HiddenError): void {
    const told = known || this.options.logMessages ? message : undefined;
    this.options.log.event("error", "error", { id: request, name, message: told, stack });
  }

  progress(progress: LoadProgress): void {
    this.options.onProgress?.(progress);
  }

  /** Rejects new requests; running ones continue. */
  refuse(reason: string): void {
    this.#closing ??= reason;
  }

  /** Why requests are rejected; undefined when ready. */
  get #unready(): string | undefined {
    return this.#closing ?? this.#loadingWhy;
  }

  /** Aborts the running requests. */
  abort(): void {
    this.#stop("the server is stopping");
  }

  #stop(reason: string): void {
    this.refuse(reason);
    const refusal = new Refusal(failure(503, reason, "unavailable"));
    for (const deadline of this.#deadlines) deadline.end(refusal);
  }

  #model() {
    return { id: this.options.name, object: "model", created: this.#created, owned_by: "ocellus" };
  }

  #probe(context: RequestContext, isWell: boolean): Response {
    const body = { status: this.#unready ?? "ready", active: this.queue.active, queued: this.queue.length };
    return isWell ? context.json(body) : context.json(body, 503, this.#soon());
  }

  /** When loading may be done, by the time that it took before. */
  #soon(): Record<string, string> {
    const { sinceMs, seconds } = this.#loading;
    return { "retry-after": String(Math.max(1, Math.ceil(seconds - (performance.now() - sinceMs) / 1000))) };
  }

  /** Refuses what needs no body to be refused. */
  #check(context: RequestContext): void {
    if (this.#unready !== undefined) throw new Refusal(failure(503, this.#unready, "unavailable"), this.#soon());
    if (this.#rates) {
      const { key, address } = context.get("record");
      const { allowed, headers } = this.#rates.take(key ?? callerOf(address ?? ""));
      Object.assign(context.get("headers"), headers);
      const message = `expected at most ${this.#rates.perMinute} requests a minute; try again later`;
      if (!allowed) throw new Refusal(failure(429, message, "rate_limit_exceeded"));
    }
    // Other content types can be sent cross-origin without a CORS preflight.
    const given = context.req.header("content-type");
    if (!/^application\/json\b/i.test(given ?? "")) {
      const message = `expected content-type: application/json, got ${given ?? "none"}; with curl add -H 'content-type: application/json'`;
      throw new Refusal(failure(415, message, "unsupported_media_type"));
    }
    // Before the body, which may be long.
    if (this.#reading >= this.queue.places) {
      const message = `expected at most ${this.queue.parallel} concurrent and ${this.queue.most} waiting requests`;
      throw new Refusal(failure(429, `${message}; try again later`, "queue_full"), RETRY);
    }
  }

  async #answer(context: RequestContext): Promise<Response> {
    this.#check(context);
    const priority = priorityOf(context.req.header("x-priority"));
    const record = context.get("record");
    const deadline = new Deadline(this.options.timeoutSeconds, context.req.raw.signal);
    this.#deadlines.add(deadline);
    const { signal } = deadline;
    const releases = [() => deadline.clear(), () => this.#deadlines.delete(deadline)];
    const over = (): void => {
      for (const release of releases.splice(0)) release();
    };
    try {
      this.#reading++;
      // Node's own stream: a stream of the web for each of hundreds of requests at once would delay /health.
      const { incoming } = context.env;
      const declared = Number(incoming.headers["content-length"] ?? 0);
      const body = await this.#bodies.read(incoming, declared, signal).finally(() => this.#reading--);
      releases.push(body.release);
      const asked = { id: record.id, path: context.req.path, priority, body: body.bytes };
      const relay = new Relay(this.queue, this.backend, asked, signal, {
        begun: () => {
          record.begunMs = performance.now();
        },
        ended: (ended) => this.#count(ended, record),
      });
      record.ended = () => relay.ended;
      const reply = await relay.begin();
      const status = reply.status as ContentfulStatusCode;
      if (!isEvents(reply)) {
        over();
        if (status >= 400) record.code = (JSON.parse(reply.bytes.toString()) as ApiErrorBody).error.code ?? undefined;
        return context.body(new Uint8Array(reply.bytes), status, { "content-type": reply.contentType });
      }
      const describe = (error: unknown): ApiError => this.#refusal(signal.aborted ? signal.reason : error).reply;
      const events = relay.stream(reply, describe, ({ body }) => {
        record.code = body.error.code ?? undefined;
      });
      record.sent = new Promise((sent) => releases.push(() => sent(undefined)));
      return new Response(streamOf(events, deadline.leave, over), { status, headers: EVENT_STREAM });
    } catch (error) {
      over();
      throw signal.aborted ? signal.reason : error;
    }
  }

  #count({ answers, seconds }: Ended, record: RequestRecord): void {
    const [first, ...others] = answers;
    const waited = ((record.begunMs ?? record.arrivedMs) - record.arrivedMs) / 1000;
    if (first) this.metrics.answer(first, waited + seconds);
    for (const answer of others) this.metrics.tokens(answer);
  }

  /** The refusal that tells an error; one that is not disclosed is logged. */
  #refusal(error: unknown): Refusal {
    if (error instanceof Refusal) return error;
    this.error(hiddenError(error));
    return new Refusal(apiError(error));
  }

  #reply(
    context: RequestContext,
    { status, body }: ApiError,
    headers: Readonly<Record<string, string>> = {},
  ): Response {
    context.get("record").code = body.error.code ?? undefined;
    return context.json(body, status as ContentfulStatusCode, headers);
  }
}

const UNAUTHORIZED = failure(401, "expected the server's API key as `Authorization: Bearer …`", "invalid_api_key");

/** Routes that the backend answers. */
const ANSWERED = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"] as const;
/** Routes that are asked every few seconds: only requests that are refused are logged. */
export const PROBES: ReadonlySet<string> = new Set(["/health", "/livez", "/readyz", "/startupz", "/metrics"]);
const ROUTES: Readonly<Record<string, string>> = {
  ...Object.fromEntries([...PROBES, "/v1/models"].map((path) => [path, "GET"])),
  ...Object.fromEntries(ANSWERED.map((path) => [path, "POST"])),
};

/** Headers that scripts of other origins may read. */
const EXPOSED = [
  "x-request-id",
  "retry-after",
  "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-reset-requests",
] as const;

/** Bounds the route labels of metrics and logs. */
function routeOf(path: string): string {
  if (path.startsWith("/v1/models/")) return "/v1/models/:id";
  return Object.hasOwn(ROUTES, path) ? path : "other";
}

function addressOf(context: RequestContext): string | undefined {
  return context.env.incoming.socket.remoteAddress;
}

/** A body of these pieces; `left` is called when the client disconnects, `over` when nothing more is sent. */
function streamOf(pieces: AsyncGenerator<Uint8Array>, left: () => void, over: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (!done) return controller.enqueue(value);
      controller.close();
      over();
    },
    cancel() {
      left();
      over();
      pieces.return(undefined).catch(() => {});
    },
  });
}
