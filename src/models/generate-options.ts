import { OptionError, shown } from "../runtime/errors.js";
import { checkOptions, suggestion } from "../runtime/options.js";
import type { SpecialTokens } from "./llava-onevision/literal-text.js";
import type { ImageMode } from "./llava-onevision/processor.js";
import type { AnswerProgress } from "./prompt-pass.js";
import type { Tap } from "./taps.js";

/** How messages become a prompt. */
export interface PromptOptions {
  imageMode?: ImageMode;
  /** "checkpoint" (the checkpoint's own chat template) or "onevision" (the text form of training). */
  template?: "checkpoint" | "onevision";
  /** Whether pictures are turned by their EXIF orientation; "apply" if not given. */
  orientation?: "apply" | "ignore";
  /**
   * What `<|im_end|>`, `<image>` and every other added token of the tokenizer mean in the text of messages, whatever their role.
   * "literal", if not given: plain characters, which end no turn and hold no picture's place. "parse": the token, as in the reference;
   * for text that you wrote yourself.
   */
  specialTokens?: SpecialTokens;
  signal?: AbortSignal;
}

/** How a prompt is computed ahead of its question. */
export interface AppendOptions extends PromptOptions {
  onProgress?: (progress: AnswerProgress) => void;
}

/** How an answer is chosen, token by token. Without a temperature it is the most probable token, each time. */
export interface SamplingOptions {
  /** Draws from softmax(logits / temperature); 0, if not given, takes the most probable token. */
  temperature?: number;
  /** Draws among the `topK` most probable tokens (more where several are equal to the last of them); 0 for all. */
  topK?: number;
  /** Draws among the most probable tokens that together have at least this probability; 1 for all. */
  topP?: number;
  /** Draws among tokens at least this much as probable as the most probable one; 0 for all. */
  minP?: number;
  /** Makes draws repeatable: the same seed, options and prompt give the same text on the same adapter. A whole number, 0 to 2⁵³ − 1. */
  seed?: number;
  /** Above 1 makes tokens that the answer already has less likely: divides their logits, multiplies negative ones; 1 if not given. */
  repetitionPenalty?: number;
  /** Taken from the logits of tokens that the answer already has; 0 if not given. */
  presencePenalty?: number;
  /** Taken from the logit of a token for each time that the answer has it; 0 if not given. */
  frequencyPenalty?: number;
}

/** What form an answer must have; at most one of the three. */
export interface StructureOptions {
  /** A JSON schema: the answer is one JSON text that it accepts. `true` stands for any JSON. */
  schema?: object | true;
  /** A regular expression that the whole answer matches. */
  regex?: string;
  /** A grammar in EBNF; the rule `root` is the whole answer. */
  grammar?: string;
}

export interface GenerateOptions extends AppendOptions, SamplingOptions, StructureOptions {
  /** Most tokens of the answer; 256 if not given, or as many as the context still holds. */
  maxNewTokens?: number;
  /** No end token before this many tokens. */
  minNewTokens?: number;
  /** The answer ends before the first of these in its text. */
  stop?: string | readonly string[];
  /** Natural logarithms of the probabilities of the answer's tokens under softmax(logits), before penalties and truncation. */
  logprobs?: boolean;
  /** The most probable tokens beside each of the answer's, 0 to 20; wants `logprobs`. */
  topLogprobs?: number;
  /** Called once with every named intermediate of the prompt's forward pass. Slow and large; for finding differences. */
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
  "stop",
  "logprobs",
  "topLogprobs",
  "schema",
  "regex",
  "grammar",
  ...APPEND_OPTIONS,
  "onTaps",
] as const satisfies readonly (keyof GenerateOptions)[];

/** The names that the options' types allow; a slip would otherwise mean the default. */
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

/** Throws OptionError for options that are unknown, out of range or at odds with each other. */
export function checkGenerateOptions(where: string, options: GenerateOptions): void {
  checkOptions(where, options, GENERATE_OPTIONS);
  checkPromptOptions(where, options);
  for (const [name, range] of Object.entries(RANGES) as [keyof GenerateOptions, Range][]) {
    const value: unknown = options[name];
    if (value === undefined || (typeof value === "number" && range.holds(value))) continue;
    throw bad(`${where}, ${name}`, range.expected, shown(value));
  }
  checkStops(where, options.stop);
  checkStructure(where, options);
  for (const name of ["topK", "topP", "minP", "seed"] as const) {
    if (options[name] === undefined || (options.temperature ?? 0) > 0) continue;
    throw new OptionError({
      where: `${where}, ${name}`,
      expected: "a temperature above 0 beside it",
      got: options.temperature === undefined ? "none: the most probable token is taken" : "temperature 0",
      remedy: `set temperature, 1 for the model's own distribution, or leave ${name} out`,
    });
  }
  if (options.topLogprobs !== undefined && !options.logprobs) {
    throw bad(`${where}, topLogprobs`, "logprobs: true beside it", shown(options.logprobs), "set logprobs: true");
  }
}

/** Throws OptionError for a name that is none of those an option has. */
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

function checkStructure(where: string, options: GenerateOptions): void {
  const { schema, regex, grammar } = options;
  const given = (["schema", "regex", "grammar"] as const).filter((name) => options[name] !== undefined);
  if (given.length > 1)
    throw bad(where, "one of schema, regex and grammar", given.join(" and "), "leave all but one out");
  if (
    schema !== undefined &&
    schema !== true &&
    (typeof schema !== "object" || schema === null || Array.isArray(schema))
  ) {
    throw bad(`${where}, schema`, "a JSON schema as an object, or true", shown(schema));
  }
  for (const [name, text] of [
    ["regex", regex],
    ["grammar", grammar],
  ] as const) {
    if (text !== undefined && typeof text !== "string") throw bad(`${where}, ${name}`, "a text", shown(text));
  }
  if (given.length > 0 && options.minNewTokens) {
    throw bad(
      `${where}, minNewTokens`,
      `none beside ${given[0]}, which says where an answer may end`,
      shown(options.minNewTokens),
    );
  }
}

function bad(where: string, expected: string, got: string, remedy = "leave it out for the default"): OptionError {
  return new OptionError({ where, expected, got, remedy });
}
