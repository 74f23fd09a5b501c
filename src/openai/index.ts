/** OpenAI's API over a model in this program. */

export { type ApiError, type ApiErrorBody, apiError, RequestError } from "./api-error.js";
export { ChatCompletions, type ChatCompletionsOptions, type CreateOptions } from "./chat-completions.js";
export { ChatRun } from "./chat-run.js";
export type { ReadMedia } from "./content.js";
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
