import { type ErrorCode, OcellusError } from "../base/errors.js";

/** Body of an error response in OpenAI's API. */
export interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The request field that caused the error. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** An HTTP error response. */
export interface ApiError {
  readonly status: number;
  readonly body: ApiErrorBody;
}

/**
 * A request that is invalid, or not supported here.
 * @example
 * ```ts
 * try {
 *   await completions.create({ messages: [] });
 * } catch (error) {
 *   if (error instanceof RequestError) console.log(error.param, error.reply.status);
 * }
 * ```
 */
export class RequestError extends OcellusError {
  constructor(
    /** The field that caused the error. */
    readonly param: string,
    fault: { expected: string; got: string; remedy: string; cause?: unknown },
    /** HTTP status and OpenAI's error code. */
    readonly reply: { readonly status: number; readonly code: string } = { status: 400, code: "invalid_value" },
  ) {
    super("OPTION", { where: param, ...fault });
    this.name = "RequestError";
  }
}

/** Returns the response status, and OpenAI's error code if there is one. */
const REPLIES: Readonly<Record<ErrorCode, readonly [status: number, code: string]>> = {
  OPTION: [400, "invalid_value"],
  PROMPT: [400, "invalid_value"],
  MEDIA: [400, "invalid_media"],
  SOURCE: [400, "invalid_media_url"],
  CONTEXT_OVERFLOW: [400, "context_length_exceeded"],
  LIMIT: [400, "limit_exceeded"],
  OVER_BUDGET: [400, "limit_exceeded"],
  MISSING_PACKAGE: [501, "missing_package"],
  // The client has disconnected.
  ABORTED: [499, "aborted"],
  DEVICE_LOST: [503, "device_lost"],
  DISPOSED: [503, "unavailable"],
  NO_ADAPTER: [503, "unavailable"],
  WORKER: [503, "unavailable"],
  NO_ROOM: [500, "internal_error"],
  MISSING_FEATURE: [500, "internal_error"],
  CHECKPOINT: [500, "internal_error"],
  SHAPE: [500, "internal_error"],
  KERNEL: [500, "internal_error"],
};

/** Request fields by the option that they set. */
const PARAMS: Readonly<Record<string, string>> = {
  maxNewTokens: "max_completion_tokens",
  minNewTokens: "min_tokens",
  logitBias: "logit_bias",
  topK: "top_k",
  topP: "top_p",
  minP: "min_p",
  repetitionPenalty: "repetition_penalty",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  topLogprobs: "top_logprobs",
  schema: "response_format",
};

/** Names of the Responses API for fields of chat completions. */
const OF_RESPONSES: Readonly<Record<string, string>> = {
  messages: "input",
  response_format: "text.format",
  max_completion_tokens: "max_output_tokens",
};

/** Converts an error to a response of chat completions or of the Responses API; unexpected errors are not disclosed to clients. */
export function apiError(cause: unknown, api: "chat" | "responses" = "chat"): ApiError {
  if (!(cause instanceof OcellusError)) {
    return failure(500, "internal server error; see the server's log", "internal_error");
  }
  if (cause instanceof RequestError) return failure(cause.reply.status, cause.message, cause.reply.code, cause.param);
  const [status, code] = REPLIES[cause.code];
  const param = paramOf(cause);
  return failure(
    status,
    cause.message,
    code,
    api === "chat" || param === null ? param : (OF_RESPONSES[param] ?? param),
  );
}

/** Builds an error response. */
export function failure(status: number, message: string, code: string | null, param: string | null = null): ApiError {
  return { status, body: { error: { message, type: typeOf(status), param, code } } };
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

function paramOf({ code, fault }: OcellusError): string | null {
  const option = /^session\.generate, (\w+)/.exec(fault.where)?.[1];
  if (option !== undefined) return PARAMS[option] ?? option;
  if (/^(schema|session\.generate, schema)\b/.test(fault.where)) return "response_format";
  if (fault.where === "regex" || fault.where === "grammar") return `guided_${fault.where}`;
  const message = /^messages[\w.[\]]*/.exec(fault.where)?.[0];
  if (message !== undefined) return message;
  return code === "PROMPT" || code === "MEDIA" || code === "SOURCE" || code === "CONTEXT_OVERFLOW" ? "messages" : null;
}
