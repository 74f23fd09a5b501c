import { causeMessage } from "../base/cause-message.js";
import type { OcellusError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";

/** What a batch can ask for: chat completions and the Responses API. */
export const BATCH_URLS = ["/v1/chat/completions", "/v1/responses"] as const;

/** A request in OpenAI's batch format. */
export interface BatchRequest {
  /** Identifies the request and its result; each of a batch has another. */
  readonly custom_id: string;
  readonly method: "POST";
  readonly url: (typeof BATCH_URLS)[number];
  /** The body of the request, as it would be sent to the URL. Streaming is not supported. */
  readonly body: unknown;
}

/** A result in OpenAI's batch format: a line of the output file. */
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

/** Reads the lines of one batch. */
export class BatchLines {
  readonly #seen = new Set<string>();

  /** `done` has the ids that are already in the output. */
  constructor(private readonly done: ReadonlySet<string>) {}

  /**
   * Reads line `number` (from 1), given its text or decoding error: its request, or the result of an invalid line; undefined if it is
   * finished.
   */
  read(line: string | OcellusError, number: number): { request: BatchRequest } | { invalid: BatchResult } | undefined {
    const bad = (code: string, message: string, custom_id: string | null = null): { invalid: BatchResult } => ({
      invalid: { ...heading(custom_id), response: null, error: { code, message: `line ${number}: ${message}` } },
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
    const known = BATCH_URLS.find((known) => known === url);
    if (!known) return bad("invalid_url", `expected ${BATCH_URLS.join(" or ")}, got ${String(url)}`, id);
    return { request: { custom_id: id, method, url: known, body } };
  }
}

/** The result of a request that got a response. */
export function answered(id: string, status_code: number, body: unknown): BatchResult {
  const request_id = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  return { ...heading(id), response: { status_code, request_id, body }, error: null };
}

function heading(custom_id: string | null): { id: string; custom_id: string | null } {
  return { id: `batch_req_${crypto.randomUUID().replaceAll("-", "")}`, custom_id };
}
