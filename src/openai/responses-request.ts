import { shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import { RequestError } from "./api-error.js";
import { checkFields, type Fields, isFlag, isText, nameAmong, optional, wholeWithin } from "./fields.js";
import { GENERATION_FIELDS, LARGEST, readGeneration } from "./generation.js";
import type { TextFormat } from "./responses-wire.js";

/** A validated request, without its input. */
export interface AskedResponse {
  readonly options: GenerateOptions;
  readonly model: string | undefined;
  readonly stream: boolean;
  readonly store: boolean;
  readonly instructions: string | undefined;
  readonly previous: string | undefined;
  readonly format: TextFormat;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Ignored fields, which do not affect the answer. */
const PASSED_OVER = [
  "user",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prompt_cache_options",
  "parallel_tool_calls",
  "max_tool_calls",
  "stream_options",
];

/** Unsupported fields, which would affect the answer; the values beside them are neutral. */
const UNSUPPORTED: Readonly<Record<string, { readonly remedy: string; readonly neutral?: readonly unknown[] }>> = {
  tools: { remedy: "tools are not called here" },
  tool_choice: { remedy: "tools are not called here", neutral: ["none", "auto"] },
  reasoning: { remedy: "the model is not a reasoning model" },
  background: { remedy: "responses are not computed in the background; send stream: true", neutral: [false] },
  conversation: { remedy: "send previous_response_id, or the whole conversation as input" },
  context_management: { remedy: "send the whole conversation as input" },
  prompt: { remedy: "prompt templates are not stored here; send input" },
  truncation: { remedy: "send the part of the conversation that fits", neutral: ["disabled"] },
  moderation: { remedy: "moderation is not supported" },
};

const FOREIGN: Readonly<Record<string, string>> = {
  messages: "did you mean `input`? `messages` belongs to /v1/chat/completions",
  max_tokens: "did you mean `max_output_tokens`?",
  max_completion_tokens: "did you mean `max_output_tokens`?",
  response_format: 'send text: { "format": { "type": "json_schema", "name": "…", "schema": { … } } }',
  n: "leave it out: responses have one answer; /v1/chat/completions has `n`",
  logprobs: 'send include: ["message.output_text.logprobs"]',
  system: "did you mean `instructions`?",
  extra_body: "send its fields beside input: extra_body belongs to the Python client",
};

const KNOWN = [
  ...["input", "model", "instructions", "previous_response_id", "store", "stream", "max_output_tokens"],
  ...["top_logprobs", "include", "text", "metadata"],
  ...GENERATION_FIELDS,
  ...PASSED_OVER,
  ...Object.keys(UNSUPPORTED),
];

const LOGPROBS = "message.output_text.logprobs";
/** Names of `include` for items that responses here never have. */
const OTHER_INCLUDES =
  /^(?:reasoning|file_search_call|web_search_call|computer_call_output|code_interpreter_call|message\.input_image)\./;
/** As in OpenAI's API: bounds what is stored with a response. */
const MOST_METADATA = 16;
const LONGEST_VALUE = 512;

/** Validates the fields of a request, except its input. Throws RequestError. */
export function readResponseRequest(request: Fields): AskedResponse {
  checkFields("", request, KNOWN, FOREIGN);
  for (const [name, { remedy, neutral }] of Object.entries(UNSUPPORTED)) {
    if (isNeutral(request[name], neutral)) continue;
    throw new RequestError(
      name,
      { expected: "none", got: shown(request[name]), remedy: `leave it out: ${remedy}` },
      { status: 400, code: "unsupported_parameter" },
    );
  }
  const format = formatOf(request);
  const maxNewTokens = optional(
    request,
    "max_output_tokens",
    `a whole number from 1 to ${LARGEST}`,
    wholeWithin(1, LARGEST),
  );
  const topLogprobs = optional(request, "top_logprobs", "a whole number from 0 to 20", wholeWithin(0, 20));
  const logprobs = includesLogprobs(request) || (topLogprobs ?? 0) > 0;
  const options: GenerateOptions = {
    ...readGeneration(request, {
      format: format.type === "text" ? undefined : format.type === "json_object" ? { type: "object" } : format.schema,
      formatName: "text.format",
      maxNewTokens,
      maxName: "max_output_tokens",
    }),
    ...(logprobs && { logprobs, topLogprobs: topLogprobs ?? 0 }),
  };
  return {
    model: optional(request, "model", "the name of a model", isText),
    stream: optional(request, "stream", "true or false", isFlag) ?? false,
    store: optional(request, "store", "true or false", isFlag) ?? true,
    instructions: optional(request, "instructions", "a text", isText),
    previous: optional(request, "previous_response_id", "the id of a response", isText),
    format,
    metadata: metadataOf(request),
    options,
  };
}

function isNeutral(value: unknown, neutral: readonly unknown[] = []): boolean {
  if (value === undefined || value === null || neutral.includes(value)) return true;
  if (Array.isArray(value)) return value.length === 0;
  // `reasoning: { effort: null }` asks for nothing.
  return isObject(value) && Object.values(value).every((one) => one === null || one === undefined || one === "none");
}

function formatOf(request: Fields): TextFormat {
  const text = optional(request, "text", "an object", isObject);
  if (!text) return { type: "text" };
  checkFields("text", text, ["format", "verbosity"]);
  const { verbosity } = text;
  if (verbosity !== undefined && verbosity !== null && verbosity !== "medium") {
    const remedy = "leave it out, and describe the length of the answer in the input";
    throw new RequestError("text.verbosity", { expected: '"medium"', got: shown(verbosity), remedy });
  }
  const format = optional(text, "text.format", "an object with a type", isObject);
  if (!format) return { type: "text" };
  const type = nameAmong("text.format.type", format.type, ["text", "json_object", "json_schema"]);
  if (type !== "json_schema") {
    checkFields("text.format", format, ["type"]);
    return { type };
  }
  checkFields("text.format", format, ["type", "name", "description", "schema", "strict"], {
    json_schema: 'send its fields beside type: { "type": "json_schema", "name": "…", "schema": { … } }',
  });
  if (!isObject(format.schema)) {
    const remedy = 'send { "type": "json_schema", "name": "…", "schema": { … } }';
    throw new RequestError("text.format.schema", { expected: "a JSON schema", got: shown(format.schema), remedy });
  }
  return format as TextFormat;
}

function includesLogprobs(request: Fields): boolean {
  const isList = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
  const include = optional(request, "include", "a list of names", isList) ?? [];
  for (const [i, name] of include.entries()) {
    if (!OTHER_INCLUDES.test(name)) nameAmong(`include[${i}]`, name, [LOGPROBS]);
  }
  return include.includes(LOGPROBS);
}

function metadataOf(request: Fields): Readonly<Record<string, string>> {
  const expected = `at most ${MOST_METADATA} texts of at most ${LONGEST_VALUE} characters`;
  const isMetadata = (value: unknown): value is Record<string, string> =>
    isObject(value) &&
    Object.keys(value).length <= MOST_METADATA &&
    Object.entries(value).every(([name, text]) => name.length <= 64 && isText(text) && text.length <= LONGEST_VALUE);
  return optional(request, "metadata", expected, isMetadata) ?? {};
}
