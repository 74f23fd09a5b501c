import { shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import { RequestError } from "./api-error.js";
import { checkFields, type Fields, isFlag, isText, nameAmong, optional, wholeWithin } from "./fields.js";
import { GENERATION_FIELDS, LARGEST, readGeneration } from "./generation.js";

/** A validated request, without its messages. */
export interface Asked {
  readonly options: GenerateOptions;
  readonly model: string | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Number of choices. */
  readonly choices: number;
}

const FORMATS = ["text", "json_object", "json_schema"] as const;

/** Ignored fields, which do not affect the answer. */
const PASSED_OVER = [
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "parallel_tool_calls",
];

/** Unsupported fields, which would affect the answer; neutral values are accepted. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  tools: "tools are not called here",
  tool_choice: "tools are not called here",
  functions: "function calls are not supported",
  function_call: "function calls are not supported",
  audio: "answers are text",
  modalities: "answers are text",
  prediction: "predicted outputs are not supported",
  reasoning_effort: "the model is not a reasoning model",
  verbosity: "describe the length of the answer in the messages",
  web_search_options: "web search is not supported",
  moderation: "moderation is not supported",
  // vLLM's.
  ignore_eos: "send min_tokens",
  include_stop_str_in_output: "append it yourself: finish_reason says how the answer ended",
  skip_special_tokens: "special tokens are never part of the text",
  spaces_between_special_tokens: "special tokens are never part of the text",
  use_beam_search: "beam search is not supported",
  best_of: "send n",
  length_penalty: "beam search is not supported",
  early_stopping: "beam search is not supported",
  echo: "prepend the text of the message yourself",
  add_generation_prompt: "the answer is always the assistant's next message",
  continue_final_message: "the answer is always the assistant's next message",
  bad_words: "send logit_bias",
  allowed_token_ids: "send guided_regex or guided_choice",
  truncate_prompt_tokens: "shorten the messages",
};

/** Fields of other APIs, and their equivalents. */
const FOREIGN: Readonly<Record<string, string>> = {
  prompt: 'send messages: [{ "role": "user", "content": "…" }]',
  input: 'send messages: [{ "role": "user", "content": "…" }]',
  instructions: 'send a message: { "role": "system", "content": "…" }',
  system: 'send a message: { "role": "system", "content": "…" }',
  images: 'send pictures as parts of a message: { "type": "image_url", "image_url": { "url": "data:…;base64,…" } }',
  extra_body: "send its fields beside messages: extra_body belongs to the Python client",
  options: "send its fields beside messages",
  max_output_tokens: "did you mean `max_completion_tokens`?",
  stop_sequences: "did you mean `stop`?",
  stop_token_ids: "leave it out, or send texts as `stop`",
  format: "did you mean `response_format`?",
  guided_whitespace_pattern: "leave it out: JSON is compact here",
  json_schema: 'did you mean `response_format`? { "type": "json_schema", "json_schema": { "schema": { … } } }',
  grammar: "did you mean `guided_grammar`?",
  regex: "did you mean `guided_regex`?",
  ebnf: "did you mean `guided_grammar`?",
};

const TOKENS = `a whole number from 1 to ${LARGEST}`;
/** Choices are answered one after the other, within the time of one request. */
const MOST_CHOICES = 16;

const KNOWN = [
  ...["messages", "model", "stream", "stream_options", "logprobs", "top_logprobs", "response_format", "n"],
  ...["max_tokens", "max_completion_tokens"],
  ...GENERATION_FIELDS,
  ...PASSED_OVER,
  ...Object.keys(UNSUPPORTED),
];

/** Validates the fields of a request, except its messages. Throws RequestError. */
export function readRequest(request: Fields): Asked {
  checkFields("", request, KNOWN, FOREIGN);
  for (const [name, remedy] of Object.entries(UNSUPPORTED)) {
    if (asksNothing(name, request[name])) continue;
    throw new RequestError(
      name,
      { expected: "none", got: shown(request[name]), remedy: `leave it out: ${remedy}` },
      { status: 400, code: "unsupported_parameter" },
    );
  }
  const stream = optional(request, "stream", "true or false", isFlag) ?? false;
  const number = (name: string, expected: string, holds: (value: unknown) => value is number): number | undefined =>
    optional(request, name, expected, holds);
  const [completion, tokens] = ["max_completion_tokens", "max_tokens"].map((name) =>
    number(name, TOKENS, wholeWithin(1, LARGEST)),
  );
  const choices = number("n", `a whole number from 1 to ${MOST_CHOICES}`, wholeWithin(1, MOST_CHOICES)) ?? 1;
  const logprobs = optional(request, "logprobs", "true or false", isFlag);
  const topLogprobs = number("top_logprobs", "a whole number from 0 to 20", wholeWithin(0, 20));
  if (topLogprobs !== undefined && topLogprobs > 0 && !logprobs) {
    throw new RequestError("top_logprobs", {
      expected: "logprobs: true beside it",
      got: shown(request.logprobs),
      remedy: "send logprobs: true, or leave it out",
    });
  }
  return {
    model: optional(request, "model", "the name of a model", isText),
    stream,
    includeUsage: includeUsage(request, stream),
    choices,
    options: {
      ...readGeneration(request, {
        format: schemaOf(request),
        formatName: "response_format",
        maxNewTokens: completion ?? tokens,
        maxName: completion === undefined ? "max_tokens" : "max_completion_tokens",
        several: choices > 1,
      }),
      ...(logprobs && { logprobs, ...(topLogprobs !== undefined && { topLogprobs }) }),
    },
  };
}

/** Neutral values. */
const NOTHING: Readonly<Record<string, readonly unknown[]>> = {
  tool_choice: ["none", "auto"],
  function_call: ["none", "auto"],
  reasoning_effort: ["none"],
  verbosity: ["medium"],
  ignore_eos: [false],
  include_stop_str_in_output: [false],
  skip_special_tokens: [true],
  spaces_between_special_tokens: [true, false],
  use_beam_search: [false],
  best_of: [1],
  length_penalty: [1],
  early_stopping: [false],
  echo: [false],
  add_generation_prompt: [true],
  continue_final_message: [false],
};

/** Default values that clients send. */
function asksNothing(name: string, value: unknown): boolean {
  if (value === undefined || value === null || NOTHING[name]?.includes(value)) return true;
  if (name === "modalities") return Array.isArray(value) && value.every((one) => one === "text");
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

function includeUsage(request: Fields, stream: boolean): boolean {
  const options = optional(request, "stream_options", "an object", isObject);
  if (!options) return false;
  if (!stream) {
    throw new RequestError("stream_options", {
      expected: "stream: true beside it",
      got: shown(request.stream),
      remedy: "leave it out: complete responses include the usage",
    });
  }
  checkFields("stream_options", options, ["include_usage", "include_obfuscation"]);
  return optional(options, "stream_options.include_usage", "true or false", isFlag) ?? false;
}

function schemaOf(request: Fields): object | undefined {
  const remedy = 'send { "type": "json_object" }, or "json_schema" with a schema';
  const format = optional(request, "response_format", "an object with a type", isObject, remedy);
  if (!format) return undefined;
  const type = nameAmong("response_format.type", format.type, FORMATS);
  const fields = type === "json_schema" ? ["type", "json_schema"] : ["type"];
  const foreign = {
    schema: 'send it within json_schema: { "type": "json_schema", "json_schema": { "schema": { … } } }',
  };
  checkFields("response_format", format, fields, foreign);
  if (type === "text") return undefined;
  if (type === "json_object") return { type: "object" };
  const given = format.json_schema;
  if (isObject(given) && isObject(given.schema)) {
    checkFields("response_format.json_schema", given, ["name", "description", "schema", "strict"]);
    return given.schema;
  }
  throw new RequestError("response_format.json_schema", {
    expected: "an object with a schema",
    got: shown(given),
    remedy: 'send { "name": "…", "schema": { … } }',
  });
}
