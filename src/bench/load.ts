import { causeMessage } from "../base/cause-message.js";
import { SourceError, throwIfAborted } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { type LoadKind, loadRequest } from "./load-requests.js";
import { type Spread, spreadOf } from "./spread.js";

/** Tokens of an answer before the measurement, which compiles what it needs. */
const WARM_TOKENS = 4;
/** Time for which a client does nothing after a failure, such as a refusal of too many requests. */
const REST_MS = 100;

/** A server with OpenAI's interface. */
export interface LoadTarget {
  /** Its base URL, with /v1. */
  readonly url: string;
  readonly model: string;
  readonly apiKey?: string | undefined;
}

/** How a load is measured. */
export interface LoadPlan extends LoadKind {
  /** Clients, each of which sends its next request when it has the answer (a closed loop). */
  readonly clients: number;
  /** Tokens of each answer. */
  readonly tokens: number;
  /** Minimum duration: a measurement goes on until every client had an answer, and then ends in the middle of others. */
  readonly seconds: number;
  /** Number of the first request: no two plans have a request in common. */
  readonly first: number;
}

/** What was measured. */
export interface LoadMeasurement extends LoadKind {
  readonly clients: number;
  /** Duration in seconds. */
  readonly seconds: number;
  /** Answers that came to their end; others were running at the end, or failed. */
  readonly answers: number;
  readonly failed: number;
  /** Tokens of all clients that arrived. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Milliseconds from sending a request to its first token. */
  readonly firstTokenMs: Spread | undefined;
  /** Milliseconds between two pieces of a stream, which are a token each but for characters of several. */
  readonly betweenTokensMs: Spread | undefined;
  /** Share of the prompts' tokens that the server had in its cache. */
  readonly cachedShare: number | undefined;
}

interface Usage {
  readonly completion_tokens: number;
  readonly prompt_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

/** What is collected while clients run. */
class Tally {
  answers = 0;
  failed = 0;
  tokens = 0;
  promptTokens = 0;
  cachedTokens = 0;
  readonly first: number[] = [];
  readonly between: number[] = [];
  /** Why a request failed. */
  reason: string | undefined;
}

/** Returns the target at an address: with /v1, and the name of its first model. Throws SourceError. */
export async function loadTarget(address: string, apiKey?: string): Promise<LoadTarget> {
  const url = `${address.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
  const refused = (got: string, cause?: unknown): SourceError =>
    new SourceError({
      where: url,
      expected: "a server with OpenAI's interface",
      got,
      remedy: "check that it runs and that the address is right; OCELLUS_API_KEY has its key",
      cause,
    });
  let models: unknown;
  try {
    const response = await fetch(`${url}/models`, { headers: headers(apiKey) });
    if (!response.ok) throw refused(`status ${response.status}`);
    models = await response.json();
  } catch (cause) {
    if (cause instanceof SourceError) throw cause;
    throw refused(causeMessage(cause instanceof Error && cause.cause ? cause.cause : cause), cause);
  }
  const first: unknown = isObject(models) && Array.isArray(models.data) ? models.data[0] : undefined;
  if (!isObject(first) || typeof first.id !== "string") throw refused("no list of models");
  return { url, model: first.id, apiKey };
}

/** Sends the requests of a plan. Throws SourceError if none is answered, AbortedError. */
export async function measureLoad(target: LoadTarget, plan: LoadPlan, signal?: AbortSignal): Promise<LoadMeasurement> {
  let number = plan.first;
  // As many at once as are measured: servers compile kernels for each number.
  const warm = new Tally();
  await Promise.all(
    Array.from({ length: plan.clients }, async () =>
      answer(target, await loadRequest(plan, number++, WARM_TOKENS), warm, signal),
    ),
  );
  throwIfAborted(signal, "the load");
  if (warm.answers === 0) throw noAnswer(target, warm);
  const tally = new Tally();
  const over = new AbortController();
  const ended = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const begun = performance.now();
  let waiting = plan.clients;
  const endIfDone = (): void => {
    if (waiting === 0 && performance.now() - begun >= 1000 * plan.seconds) over.abort();
  };
  const timer = setTimeout(endIfDone, 1000 * plan.seconds);
  const client = async (): Promise<void> => {
    for (let count = 0; !ended.aborted; count++) {
      await answer(target, await loadRequest(plan, number++, plan.tokens), tally, ended);
      if (count === 0) waiting--;
      endIfDone();
    }
  };
  await Promise.all(Array.from({ length: plan.clients }, client)).finally(() => clearTimeout(timer));
  throwIfAborted(signal, "the load");
  if (tally.answers === 0) throw noAnswer(target, tally);
  const seconds = (performance.now() - begun) / 1000;
  const { answers, failed, tokens, promptTokens, cachedTokens } = tally;
  return {
    prompt: plan.prompt,
    prefix: plan.prefix,
    clients: plan.clients,
    seconds,
    answers,
    failed,
    tokens,
    tokensPerSecond: tokens / seconds,
    firstTokenMs: spreadOf(tally.first),
    betweenTokensMs: spreadOf(tally.between),
    cachedShare: promptTokens > 0 ? cachedTokens / promptTokens : undefined,
  };
}

/** Sends a request and reads its stream; what arrives before the signal counts. */
async function answer({ url, model, apiKey }: LoadTarget, body: object, tally: Tally, signal?: AbortSignal) {
  const begun = performance.now();
  let last: number | undefined;
  let pieces = 0;
  let usage: Usage | undefined;
  try {
    const response = await fetch(`${url}/chat/completions`, {
      method: "POST",
      headers: { ...headers(apiKey), "content-type": "application/json" },
      body: JSON.stringify({ model, ...body }),
      signal: signal ?? null,
    });
    if (!response.ok || !response.body) throw new Error(`status ${response.status}: ${await response.text()}`);
    for await (const data of events(response.body)) {
      if (data.error) throw new Error(JSON.stringify(data.error));
      if (data.usage) usage = data.usage;
      if (!data.choices?.[0]?.delta?.content) continue;
      const now = performance.now();
      if (last === undefined) tally.first.push(now - begun);
      else tally.between.push(now - last);
      last = now;
      pieces++;
    }
    tally.answers++;
  } catch (error) {
    if (!signal?.aborted) {
      tally.failed++;
      tally.reason ??= causeMessage(error).slice(0, 300);
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }
  tally.tokens += usage?.completion_tokens ?? pieces;
  tally.promptTokens += usage?.prompt_tokens ?? 0;
  tally.cachedTokens += usage?.prompt_tokens_details?.cached_tokens ?? 0;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: Usage | null;
  readonly error?: unknown;
}

/** Yields the objects of a stream of server-sent events. */
export async function* events(body: AsyncIterable<Uint8Array>): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: {")) yield JSON.parse(line.slice("data: ".length)) as Chunk;
  }
}

function headers(apiKey: string | undefined): Record<string, string> {
  return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
}

function noAnswer({ url }: LoadTarget, { reason = "none" }: Tally): SourceError {
  const remedy = "correct what the server says, for example its limits of requests and tokens";
  return new SourceError({ where: url, expected: "answers", got: reason, remedy });
}
