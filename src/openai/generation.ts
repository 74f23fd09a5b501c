/** The fields of sampling and structure that the chat completions and the Responses API have in common, and vLLM's beside them. */
import { shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { GenerateOptions, SamplingOptions } from "../models/chat/generate-options.js";
import { RequestError } from "./api-error.js";
import { type Fields, isText, optional, wholeWithin, within } from "./fields.js";
import { readStructure, STRUCTURE_FIELDS } from "./structure.js";

export const LARGEST = Number.MAX_SAFE_INTEGER;
/** Each entry of a bias is checked; the vocabulary has some 150,000 tokens, and OpenAI allows 1,024. */
const MOST_BIASED = 1024;

const NUMBERS = {
  temperature: ["a number from 0 to 2", within(0, 2)],
  top_p: ["a number from 0 to 1", within(0, 1)],
  top_k: [`a whole number from -1 to ${LARGEST}`, wholeWithin(-1, LARGEST)],
  min_p: ["a number from 0 to 1", within(0, 1)],
  repetition_penalty: ["a number above 0, at most 100", (v: unknown): v is number => within(0, 100)(v) && v > 0],
  presence_penalty: ["a number from -2 to 2", within(-2, 2)],
  frequency_penalty: ["a number from -2 to 2", within(-2, 2)],
  seed: ["a whole number of at most 64 bits (-2^63 to 2^64)", isSeed],
  min_tokens: [`a whole number from 0 to ${LARGEST}`, wholeWithin(0, LARGEST)],
} as const satisfies Readonly<Record<string, readonly [string, (value: unknown) => value is number]>>;

/** Fields that `readGeneration` reads. */
export const GENERATION_FIELDS = [...Object.keys(NUMBERS), "stop", "logit_bias", ...STRUCTURE_FIELDS];

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

export interface GenerationRules {
  /** Schema of the API's own field for the form of the answer, and the field's name. */
  readonly format: object | undefined;
  readonly formatName: string;
  /** Maximum number of tokens, and the field's name. */
  readonly maxNewTokens: number | undefined;
  readonly maxName: string;
  /** Whether several answers are asked for, which only sampling makes different. */
  readonly several?: boolean;
}

/** Reads the options of an answer. Throws RequestError. */
export function readGeneration(request: Fields, rules: GenerationRules): GenerateOptions {
  const number = (name: keyof typeof NUMBERS): number | undefined =>
    optional(request, name, NUMBERS[name][0], NUMBERS[name][1]);
  const { maxNewTokens } = rules;
  const minNewTokens = number("min_tokens");
  if (minNewTokens !== undefined && maxNewTokens !== undefined && minNewTokens > maxNewTokens) {
    const expected = `at most ${rules.maxName}, ${maxNewTokens}`;
    throw new RequestError("min_tokens", { expected, got: String(minNewTokens), remedy: "ask for fewer, or raise it" });
  }
  const stop = stopOf(request);
  const seed = number("seed");
  return {
    ...present({
      maxNewTokens,
      minNewTokens: minNewTokens === 0 ? undefined : minNewTokens,
      repetitionPenalty: number("repetition_penalty"),
      presencePenalty: number("presence_penalty"),
      frequencyPenalty: number("frequency_penalty"),
      logitBias: logitBiasOf(request),
    }),
    ...samplingOptions(
      {
        temperature: number("temperature"),
        topP: number("top_p"),
        topK: number("top_k"),
        minP: number("min_p"),
        seed: seed === undefined ? undefined : sessionSeed(seed),
      },
      rules.several,
    ),
    ...(stop && { stop }),
    ...readStructure(request, rules.format, rules.formatName),
  };
}

/** Sampling parameters as requests have them. */
export type RequestedSampling = {
  readonly [name in "temperature" | "topP" | "topK" | "minP" | "seed"]?: number | undefined;
};

/**
 * Sampling options for a session. OpenAI samples unless the temperature is 0; here decoding is greedy unless the request has a
 * temperature, or asks for something that has no effect without one: a cut, or `several` answers.
 */
export function samplingOptions(asked: RequestedSampling, several = false): SamplingOptions {
  const { topP, topK, minP, seed } = asked;
  const cuts = {
    ...(topP !== undefined && topP < 1 && { topP }),
    ...(topK !== undefined && topK > 0 && { topK }),
    ...(minP !== undefined && minP > 0 && { minP }),
  };
  const temperature = asked.temperature ?? (several || Object.keys(cuts).length > 0 ? 1 : 0);
  // top_p 0 keeps the token of the highest probability: top-k of 1.
  if (temperature === 0 || topP === 0) return {};
  return { temperature, ...cuts, ...(seed !== undefined && { seed }) };
}

function stopOf(request: Fields): string[] | undefined {
  const isStop = (value: unknown): value is string | string[] =>
    isText(value) ? value !== "" : Array.isArray(value) && value.every((text) => isText(text) && text !== "");
  const stop = optional(request, "stop", "a text or a list of texts, none of them empty", isStop);
  const list = isText(stop) ? [stop] : stop;
  return list && list.length > 0 ? list : undefined;
}

function logitBiasOf(request: Fields): Record<string, number> | undefined {
  const bias = optional(request, "logit_bias", "an object of numbers by token id", isObject);
  const entries = Object.entries(bias ?? {});
  if (entries.length === 0) return undefined;
  const fail = (expected: string, got: string): RequestError =>
    new RequestError("logit_bias", {
      expected,
      got,
      remedy: 'send { "1234": -100 }, with ids of the model\'s own tokenizer',
    });
  if (entries.length > MOST_BIASED) throw fail(`at most ${MOST_BIASED} tokens`, `${entries.length}`);
  const wrong = entries.find(([token, add]) => !/^(?:0|[1-9]\d{0,9})$/.test(token) || !within(-100, 100)(add));
  if (wrong) throw fail("numbers from -100 to 100 by token id", `${shown(wrong[0])}: ${shown(wrong[1])}`);
  return bias as Record<string, number>;
}

/** The fields that are not undefined. */
function present<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
