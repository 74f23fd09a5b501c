import { shown } from "../base/errors.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import { RequestError } from "./api-error.js";
import {
  checkFields,
  type Fields,
  isFields,
  isFlag,
  isText,
  nameAmong,
  optional,
  wholeWithin,
  within,
} from "./fields.js";

/** A validated request, without its messages. */
export interface Asked {
  readonly options: GenerateOptions;
  readonly model: string | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
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
  logit_bias: "logit bias is not supported",
  audio: "answers are text",
  modalities: "answers are text",
  prediction: "predicted outputs are not supported",
  reasoning_effort: "the model is not a reasoning model",
  verbosity: "describe the length of the answer in the messages",
  web_search_options: "web search is not supported",
  moderation: "moderation is not supported",
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
  best_of: "leave it out: requests have one answer",
  use_beam_search: "leave it out: beam search is not supported",
  format: "did you mean `response_format`?",
  guided_json: 'send response_format: { "type": "json_schema", "json_schema": { "schema": { … } } }',
  guided_choice: 'send response_format: { "type": "json_schema", "json_schema": { "schema": { "enum": [ … ] } } }',
};

const LARGEST = Number.MAX_SAFE_INTEGER;

const NUMBERS = {
  temperature: ["a number from 0 to 2", within(0, 2)],
  top_p: ["a number from 0 to 1", within(0, 1)],
  top_k: [`a whole number from -1 to ${LARGEST}`, wholeWithin(-1, LARGEST)],
  min_p: ["a number from 0 to 1", within(0, 1)],
  repetition_penalty: ["a number above 0, at most 100", (v: unknown): v is number => within(0, 100)(v) && v > 0],
  presence_penalty: ["a number from -2 to 2", within(-2, 2)],
  frequency_penalty: ["a number from -2 to 2", within(-2, 2)],
  seed: ["a whole number of at most 64 bits (-2^63 to 2^64)", isSeed],
  max_tokens: [`a whole number from 1 to ${LARGEST}`, wholeWithin(1, LARGEST)],
  max_completion_tokens: [`a whole number from 1 to ${LARGEST}`, wholeWithin(1, LARGEST)],
  top_logprobs: ["a whole number from 0 to 20", wholeWithin(0, 20)],
  n: ["1: requests have one answer", wholeWithin(1, 1)],
} as const satisfies Readonly<Record<string, readonly [string, (value: unknown) => value is number]>>;

const KNOWN = [
  ...["messages", "model", "stream", "stream_options", "stop", "logprobs", "response_format"],
  ...Object.keys(NUMBERS),
  ...PASSED_OVER,
  ...Object.keys(UNSUPPORTED),
];

/** Seeds of OpenAI's API are 64-bit integers. JSON parsers round those beyond 2^53 to the nearest double, deterministically. */
function isSeed(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= -(2 ** 63) && (value as number) <= 2 ** 64;
}

/** Maps a seed to 0 to 2^53 - 1: negative seeds differ from positive ones; the upper bits of larger ones are folded in. */
function sessionSeed(seed: number): number {
  if (Math.abs(seed) <= LARGEST) return seed < 0 ? LARGEST + seed : seed;
  const bits = BigInt.asUintN(64, BigInt(seed));
  return Number(BigInt.asUintN(53, bits ^ (bits >> 11n)));
}

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
  const number = (name: keyof typeof NUMBERS): number | undefined =>
    optional(request, name, NUMBERS[name][0], NUMBERS[name][1]);
  number("n");
  const maxNewTokens = number("max_completion_tokens") ?? number("max_tokens");
  const logprobs = optional(request, "logprobs", "true or false", isFlag);
  const topLogprobs = number("top_logprobs");
  if (topLogprobs !== undefined && topLogprobs > 0 && !logprobs) {
    throw new RequestError("top_logprobs", {
      expected: "logprobs: true beside it",
      got: shown(request.logprobs),
      remedy: "send logprobs: true, or leave it out",
    });
  }
  const penalties = {
    repetitionPenalty: number("repetition_penalty"),
    presencePenalty: number("presence_penalty"),
    frequencyPenalty: number("frequency_penalty"),
  };
  const stop = stopOf(request);
  const schema = schemaOf(request);
  return {
    model: optional(request, "model", "the name of a model", isText),
    stream,
    includeUsage: includeUsage(request, stream),
    options: {
      ...(maxNewTokens !== undefined && { maxNewTokens }),
      ...samplingOptions(number),
      ...(Object.fromEntries(Object.entries(penalties).filter(([, value]) => value !== undefined)) as GenerateOptions),
      ...(stop && { stop }),
      ...(logprobs && { logprobs, ...(topLogprobs !== undefined && { topLogprobs }) }),
      ...(schema && { schema }),
    },
  };
}

/** Neutral values. */
const NOTHING: Readonly<Record<string, readonly unknown[]>> = {
  tool_choice: ["none", "auto"],
  function_call: ["none", "auto"],
  reasoning_effort: ["none"],
  verbosity: ["medium"],
};

/** Default values that clients send. */
function asksNothing(name: string, value: unknown): boolean {
  if (value === undefined || value === null || NOTHING[name]?.includes(value)) return true;
  if (name === "modalities") return Array.isArray(value) && value.every((one) => one === "text");
  if (Array.isArray(value)) return value.length === 0;
  return isFields(value) && Object.keys(value).length === 0;
}

/**
 * Sampling options. OpenAI samples unless the temperature is 0; here decoding is greedy unless the request has a temperature, or a
 * parameter that has no effect without one.
 */
function samplingOptions(
  number: (name: "temperature" | "top_p" | "top_k" | "min_p" | "seed") => number | undefined,
): GenerateOptions {
  const [topP, topK, minP, seed] = [number("top_p"), number("top_k"), number("min_p"), number("seed")];
  const cuts = {
    ...(topP !== undefined && topP < 1 && { topP }),
    ...(topK !== undefined && topK > 0 && { topK }),
    ...(minP !== undefined && minP > 0 && { minP }),
  };
  const temperature = number("temperature") ?? (Object.keys(cuts).length > 0 ? 1 : 0);
  // top_p 0 keeps the token of the highest probability: top-k of 1.
  if (temperature === 0 || topP === 0) return {};
  return {
    temperature,
    ...cuts,
    ...(seed !== undefined && { seed: sessionSeed(seed) }),
  };
}

function stopOf(request: Fields): string[] | undefined {
  const isStop = (value: unknown): value is string | string[] =>
    isText(value) ? value !== "" : Array.isArray(value) && value.every((text) => isText(text) && text !== "");
  const stop = optional(request, "stop", "a text or a list of texts, none of them empty", isStop);
  const list = isText(stop) ? [stop] : stop;
  return list && list.length > 0 ? list : undefined;
}

function includeUsage(request: Fields, stream: boolean): boolean {
  const options = optional(request, "stream_options", "an object", isFields);
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
  const format = optional(request, "response_format", "an object with a type", isFields, remedy);
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
  if (isFields(given) && isFields(given.schema)) {
    checkFields("response_format.json_schema", given, ["name", "description", "schema", "strict"]);
    return given.schema;
  }
  throw new RequestError("response_format.json_schema", {
    expected: "an object with a schema",
    got: shown(given),
    remedy: 'send { "name": "…", "schema": { … } }',
  });
}
