import { OptionError, shown } from "../../base/errors.js";
import { isObject } from "../../base/is-object.js";
import { checkOptions, suggestion } from "../../base/options.js";
import type { SpecialTokens } from "../llava-onevision/literal-text.js";
import type { ImageMode } from "../llava-onevision/processor.js";
import type { AnswerProgress } from "./answer.js";
import type { StructureOptions } from "./structure-options.js";
import type { Tap } from "./taps.js";

/** How messages are rendered to a prompt. */
export interface PromptOptions {
  imageMode?: ImageMode;
  /** "checkpoint" (the checkpoint's chat template) or "onevision" (the prompt format of training). */
  template?: "checkpoint" | "onevision";
  /** Whether to apply the EXIF orientation of pictures; "apply" if not given. */
  orientation?: "apply" | "ignore";
  /**
   * How `<|im_end|>`, `<image>` and the other added tokens of the tokenizer are read in the text of messages of any role.
   * "literal", if not given: as plain text, so that user input cannot end a turn or stand for a picture. "parse": as tokens, like the
   * reference implementation; for trusted text only.
   */
  specialTokens?: SpecialTokens;
  signal?: AbortSignal | undefined;
}

/** Options of prefilling ahead of a question. */
export interface AppendOptions extends PromptOptions {
  onProgress?: (progress: AnswerProgress) => void;
}

/** Sampling parameters. Without a temperature decoding is greedy. */
export interface SamplingOptions {
  /** Sampling temperature: tokens are sampled from softmax(logits / temperature). 0, the default, and values below 0.00001 mean greedy decoding. */
  temperature?: number;
  /** Top-k sampling: keeps the `topK` tokens of the highest probability, and ties with the last of them; 0 keeps all. */
  topK?: number;
  /** Top-p (nucleus) sampling: keeps the smallest set of tokens whose probabilities sum to at least `topP`; 1 keeps all, a tiny value the most likely token. */
  topP?: number;
  /** Min-p sampling: keeps tokens of at least `minP` times the highest probability; 0 keeps all. */
  minP?: number;
  /** Random seed: the same seed, options and prompt give the same text on the same adapter. An integer from 0 to 2⁵³ − 1. */
  seed?: number;
  /**
   * Repetition penalty: divides the positive logits of tokens in the answer, and multiplies the negative ones; 1, the default,
   * has no effect.
   */
  repetitionPenalty?: number;
  /** Presence penalty: subtracted from the logits of tokens that occur in the answer; 0 if not given. */
  presencePenalty?: number;
  /** Frequency penalty: subtracted from the logit of a token once per occurrence in the answer; 0 if not given. */
  frequencyPenalty?: number;
  /**
   * Logit bias: numbers from -100 to 100 by token id, added to the logits of these tokens at every step, before the penalties. -100
   * excludes a token in practice, 100 selects it.
   */
  logitBias?: Readonly<Record<number, number>>;
}

export interface GenerateOptions extends AppendOptions, SamplingOptions, StructureOptions {
  /** Maximum number of tokens to generate; 256 if not given, or fewer if the context is nearly full. */
  maxNewTokens?: number;
  /** Minimum number of tokens before an EOS token. */
  minNewTokens?: number;
  /**
   * The beginning of the answer, which the model continues (`continue_final_message` in transformers). The text of the result is what
   * follows it; in the conversation the answer has both. A space at its end would make the next token an unlikely one.
   */
  answerPrefix?: string;
  /** Stop sequences: the answer ends before the first of them. */
  stop?: string | readonly string[];
  /**
   * Returns the log-probabilities (natural logarithms) of the answer's tokens under softmax(logits), before penalties and
   * truncation.
   */
  logprobs?: boolean;
  /** Number of most likely tokens to return at each position, 0 to 20; requires `logprobs`. */
  topLogprobs?: number;
  /**
   * Whether tokens that repeat earlier text, or that a schema leaves no choice about, are drafted and verified several at a time; true
   * if not given. The text is the same, in fewer passes. Penalties and `logprobs` need a pass for every token.
   */
  drafts?: boolean;
  /** Called once with every named intermediate of the prompt's forward pass. Slow and large; for debugging. */
  onTaps?: (taps: Tap[]) => void | Promise<void>;
}

export const PROMPT_OPTIONS = [
  "imageMode",
  "template",
  "orientation",
  "specialTokens",
  "signal",
] as const satisfies readonly (keyof PromptOptions)[];
export const APPEND_OPTIONS = [...PROMPT_OPTIONS, "onProgress"] as const satisfies readonly (keyof AppendOptions)[];
const GENERATE_OPTIONS = [
  "maxNewTokens",
  "minNewTokens",
  "temperature",
  "topK",
  "topP",
  "minP",
  "seed",
  "repetitionPenalty",
  "presencePenalty",
  "frequencyPenalty",
  "logitBias",
  "answerPrefix",
  "stop",
  "logprobs",
  "topLogprobs",
  "schema",
  "regex",
  "grammar",
  ...APPEND_OPTIONS,
  "drafts",
  "onTaps",
] as const satisfies readonly (keyof GenerateOptions)[];

/** Allowed values; without the check a misspelt one would mean the default. */
const NAMES = {
  imageMode: ["auto", "anyres", "pad"],
  template: ["checkpoint", "onevision"],
  orientation: ["apply", "ignore"],
  specialTokens: ["literal", "parse"],
} as const;

interface Range {
  readonly expected: string;
  readonly holds: (value: number) => boolean;
}

const RANGES: Partial<Record<keyof GenerateOptions, Range>> = {
  maxNewTokens: { expected: "a whole number above 0", holds: (n) => Number.isInteger(n) && n > 0 },
  minNewTokens: { expected: "a whole number, 0 or above", holds: (n) => Number.isInteger(n) && n >= 0 },
  temperature: { expected: "a number from 0 to 100", holds: (n) => n >= 0 && n <= 100 },
  topK: { expected: "a whole number, 0 or above", holds: (n) => Number.isInteger(n) && n >= 0 },
  topP: { expected: "a number above 0, at most 1", holds: (n) => n > 0 && n <= 1 },
  minP: { expected: "a number from 0 to 1", holds: (n) => n >= 0 && n <= 1 },
  seed: {
    expected: `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
    holds: (n) => Number.isSafeInteger(n) && n >= 0,
  },
  repetitionPenalty: { expected: "a number above 0", holds: (n) => n > 0 && Number.isFinite(n) },
  presencePenalty: { expected: "a number from -100 to 100", holds: (n) => Math.abs(n) <= 100 },
  frequencyPenalty: { expected: "a number from -100 to 100", holds: (n) => Math.abs(n) <= 100 },
  topLogprobs: { expected: "a whole number from 0 to 20", holds: (n) => Number.isInteger(n) && n >= 0 && n <= 20 },
};

/** Throws OptionError for options that are unknown, out of range or contradictory. */
export function checkGenerateOptions(where: string, options: GenerateOptions): void {
  checkOptions(where, options, GENERATE_OPTIONS);
  checkPromptOptions(where, options);
  for (const [name, range] of Object.entries(RANGES) as [keyof GenerateOptions, Range][]) {
    const value: unknown = options[name];
    if (value === undefined || (typeof value === "number" && range.holds(value))) continue;
    throw bad(`${where}, ${name}`, range.expected, shown(value));
  }
  const { minNewTokens = 0, maxNewTokens = minNewTokens } = options;
  if (minNewTokens > maxNewTokens) {
    throw bad(
      `${where}, minNewTokens`,
      `at most maxNewTokens, ${maxNewTokens}`,
      shown(minNewTokens),
      "lower it, or raise maxNewTokens",
    );
  }
  const { answerPrefix = "" } = options;
  if (typeof answerPrefix !== "string") throw bad(`${where}, answerPrefix`, "a text", shown(answerPrefix));
  checkStops(where, options.stop);
  checkStructure(where, options);
  for (const name of ["topK", "topP", "minP", "seed"] as const) {
    if (options[name] === undefined || (options.temperature ?? 0) > 0) continue;
    throw new OptionError({
      where: `${where}, ${name}`,
      expected: "a temperature above 0 beside it",
      got: options.temperature === undefined ? "none: decoding is greedy" : "temperature 0",
      remedy: `set temperature, 1 for the model's own distribution, or leave ${name} out`,
    });
  }
  if (options.topLogprobs !== undefined && !options.logprobs) {
    throw bad(`${where}, topLogprobs`, "logprobs: true beside it", shown(options.logprobs), "set logprobs: true");
  }
}

/** Throws OptionError for an unknown value of an option. */
export function checkPromptOptions(where: string, options: PromptOptions): void {
  for (const [name, known] of Object.entries(NAMES) as [keyof typeof NAMES, readonly string[]][]) {
    const value = options[name];
    if (value === undefined || known.includes(value)) continue;
    const near = suggestion(String(value), known, JSON.stringify);
    throw bad(`${where}, ${name}`, known.map((word) => JSON.stringify(word)).join(" or "), shown(value), near);
  }
}

function checkStops(where: string, stop: unknown): void {
  if (stop === undefined) return;
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  if (stops.length > 0 && stops.every((text) => typeof text === "string" && text !== "")) return;
  throw bad(`${where}, stop`, "a text, or a list of texts, none of them empty", shown(stop));
}

/** Objects of schema libraries are converted when the answer begins (`structure-options.ts`). */
function checkStructure(where: string, options: GenerateOptions): void {
  const { schema, regex, grammar, minNewTokens } = options;
  const given = (["schema", "regex", "grammar"] as const).filter((name) => options[name] !== undefined);
  if (given.length > 1)
    throw bad(where, "one of schema, regex and grammar", given.join(" and "), "leave all but one out");
  if (schema !== undefined && schema !== true && !isObject(schema) && typeof schema !== "function") {
    const remedy = typeof schema === "string" ? "pass JSON.parse of the text" : undefined;
    throw bad(`${where}, schema`, "a JSON schema as an object, or true", shown(schema), remedy);
  }
  // Not instanceof: expressions of other realms.
  if (regex !== undefined && typeof regex !== "string" && Object.prototype.toString.call(regex) !== "[object RegExp]") {
    throw bad(`${where}, regex`, "a text or a RegExp", shown(regex));
  }
  if (grammar !== undefined && typeof grammar !== "string") {
    throw bad(`${where}, grammar`, "a text", shown(grammar));
  }
  if (given.length > 0 && minNewTokens) {
    const expected = `none beside ${given[0]}, which says where an answer may end`;
    throw bad(`${where}, minNewTokens`, expected, shown(minNewTokens));
  }
}

function bad(where: string, expected: string, got: string, remedy = "leave it out for the default"): OptionError {
  return new OptionError({ where, expected, got, remedy });
}
