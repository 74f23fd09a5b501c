/** OpenAI's API over a model in this program. */

export type { AnswerRunsOptions } from "./answer-runs.js";
export { type ApiError, type ApiErrorBody, apiError, RequestError } from "./api-error.js";
export { ChatCompletions, type ChatCompletionsOptions, type CreateOptions } from "./chat-completions.js";
export { ChatRun } from "./chat-run.js";
export type { ReadMedia } from "./content.js";
export { ResponseRun } from "./response-run.js";
export { Responses, type ResponsesOptions } from "./responses.js";
export type {
  InputImageParam,
  InputMessageParam,
  InputTextParam,
  InputVideoParam,
  ItemReferenceParam,
  ModelResponse,
  OutputMessage,
  OutputText,
  OutputTextParam,
  ResponseEvent,
  ResponseRequest,
  ResponseUsage,
  TextFormat,
} from "./responses-wire.js";
export type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChoiceLogprobs,
  CompletionUsage,
  ContentPartParam,
  FinishReason,
  ImagePartParam,
  MessageParam,
  ResponseFormat,
  TextPartParam,
  TokenChanceParam,
  TokenLogprobParam,
  VideoPartParam,
} from "./wire.js";
