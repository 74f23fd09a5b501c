import { causeMessage } from "../base/cause-message.js";
import type { OcellusError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { apiError, failure } from "../openai/api-error.js";
import type { ChatCompletions } from "../openai/chat-completions.js";
import { Responses } from "../openai/responses.js";

const URLS = ["/v1/chat/completions", "/v1/responses"];

/** A line of the output file. */
export interface BatchResult {
  readonly id: string;
  readonly custom_id: string | null;
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: unknown } | null;
  /** Error of the input line itself. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** Returns the `custom_id` of a finished request; undefined for server errors and invalid lines, which are retried. */
export function finishedId(line: string): string | undefined {
  try {
    const { custom_id, response } = JSON.parse(line) as Partial<BatchResult>;
    return typeof custom_id === "string" && response && response.status_code < 500 ? custom_id : undefined;
  } catch {
    return undefined;
  }
}

/** Runs the requests of a batch. */
export class Batch {
  readonly #seen = new Set<string>();
  readonly #responses: Responses;

  constructor(
    private readonly completions: ChatCompletions,
    /** Ids that are already in the output. */
    private readonly done: ReadonlySet<string>,
  ) {
    // No line refers to the response of another: the order of a batch is not a promise.
    this.#responses = new Responses(completions, { keepResponses: 0 });
  }

  /**
   * Returns the result of line `number` (from 1) of the input, given its text or decoding error; undefined if it is finished. Throws
   * AbortedError, and errors that would affect all later lines, such as DeviceLostError.
   */
  async run(line: string | OcellusError, number: number, signal: AbortSignal): Promise<BatchResult | undefined> {
    const bad = (code: string, message: string, custom_id: string | null = null): BatchResult => ({
      ...heading(custom_id),
      response: null,
      error: { code, message: `line ${number}: ${message}` },
    });
    if (typeof line !== "string") return bad("invalid_json_line", line.message);
    let request: unknown;
    try {
      request = JSON.parse(line);
    } catch (cause) {
      return bad("invalid_json_line", causeMessage(cause));
    }
    if (!isObject(request)) return bad("invalid_request", "expected an object");
    const { custom_id: id, method, url, body } = request;
    if (typeof id !== "string" || id === "") return bad("missing_custom_id", "expected a text as custom_id");
    if (this.#seen.has(id)) return bad("duplicate_custom_id", `an earlier line has the same custom_id ${id}`, id);
    this.#seen.add(id);
    if (this.done.has(id)) return undefined;
    if (method !== "POST") return bad("invalid_method", `expected POST, got ${String(method)}`, id);
    if (!URLS.includes(url as string))
      return bad("invalid_url", `expected ${URLS.join(" or ")}, got ${String(url)}`, id);
    const api = url === URLS[0] ? "chat" : "responses";
    if (isObject(body) && body.stream) {
      return answered(
        id,
        400,
        failure(400, "stream: expected none, got true — batches do not stream", null, "stream").body,
      );
    }
    try {
      const whole = api === "chat" ? this.#completion(body, signal) : this.#response(body, signal);
      return answered(id, 200, await whole);
    } catch (error) {
      const { status, body: told } = apiError(error, api);
      if (signal.aborted || status === 503) throw error;
      return answered(id, status, told);
    }
  }

  async #completion(body: unknown, signal: AbortSignal): Promise<unknown> {
    return (await this.completions.start(body, { signal })).completion();
  }

  async #response(body: unknown, signal: AbortSignal): Promise<unknown> {
    return (await this.#responses.start(body, { signal })).response();
  }
}

function heading(custom_id: string | null): { id: string; custom_id: string | null } {
  return { id: `batch_req_${crypto.randomUUID().replaceAll("-", "")}`, custom_id };
}

function answered(id: string, status_code: number, body: unknown): BatchResult {
  const request_id = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  return { ...heading(id), response: { status_code, request_id, body }, error: null };
}
