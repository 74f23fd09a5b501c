import { type ErrorCode, OcellusError } from "../runtime/errors.js";

/** The body of a reply that is an error, as OpenAI's interface has it. */
export interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The field of the request at fault. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** An error as an HTTP server replies it. */
export interface ApiError {
  readonly status: number;
  readonly body: ApiErrorBody;
}

/** A request that OpenAI's interface allows and this one does not, or that neither does. */
export class RequestError extends OcellusError {
  constructor(
    /** The field at fault. */
    readonly param: string,
    fault: { expected: string; got: string; remedy: string; cause?: unknown },
    /** HTTP status and OpenAI's code of the fault. */
    readonly reply: { readonly status: number; readonly code: string } = { status: 400, code: "invalid_value" },
  ) {
    super("OPTION", { where: param, ...fault });
  }
}

/** The reply's status, and OpenAI's code where it has one. */
const REPLIES: Readonly<Record<ErrorCode, readonly [status: number, code: string]>> = {
  OPTION: [400, "invalid_value"],
  PROMPT: [400, "invalid_value"],
  MEDIA: [400, "invalid_media"],
  SOURCE: [400, "invalid_media_url"],
  CONTEXT_OVERFLOW: [400, "context_length_exceeded"],
  LIMIT: [400, "limit_exceeded"],
  OVER_BUDGET: [400, "limit_exceeded"],
  MISSING_PACKAGE: [501, "missing_package"],
  // The client's own doing, and it is no longer there to read it.
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

/** The fields of a request that become options of another name. */
const PARAMS: Readonly<Record<string, string>> = {
  maxNewTokens: "max_completion_tokens",
  topK: "top_k",
  topP: "top_p",
  minP: "min_p",
  repetitionPenalty: "repetition_penalty",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  topLogprobs: "top_logprobs",
  schema: "response_format",
};

/** What a server replies for an error; what is no fault of Ocellus' own making is not told to clients. */
export function apiError(cause: unknown): ApiError {
  if (!(cause instanceof OcellusError)) {
    return failure(500, "the server failed at this request; its log says why", "internal_error");
  }
  const [status, code] = cause instanceof RequestError ? [cause.reply.status, cause.reply.code] : REPLIES[cause.code];
  return failure(status, cause.message, code, cause instanceof RequestError ? cause.param : paramOf(cause));
}

/** An error reply of a server. */
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
  const message = /^messages[\w.[\]]*/.exec(fault.where)?.[0];
  if (message !== undefined) return message;
  return code === "PROMPT" || code === "MEDIA" || code === "SOURCE" || code === "CONTEXT_OVERFLOW" ? "messages" : null;
}
