import { OptionError } from "../base/errors.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import type { Arguments, CommandOptions } from "./command.js";
import { readJson, readText } from "./input-file.js";

export const TEMPLATE_OPTION: CommandOptions = {
  template: {
    value: "NAME",
    help: "checkpoint (its own chat template) or onevision (the prompt format of training)",
    choices: ["checkpoint", "onevision"],
    rare: true,
  },
};

export const SPECIAL_TOKENS_OPTION: CommandOptions = {
  "special-tokens": {
    value: "HOW",
    help: "how <image>, <|im_end|> and the like in texts are read: literal (plain text) or parse (as tokens)",
    choices: ["literal", "parse"],
    rare: true,
  },
};

/** Options of commands that generate answers: sampling, stopping, structured output. */
export const ANSWER_OPTIONS: CommandOptions = {
  "max-new-tokens": { value: "N", help: "maximum number of tokens to generate (256)" },
  temperature: { value: "T", help: "sampling temperature; 0 is greedy decoding (0)" },
  "top-k": { value: "K", help: "top-k sampling", rare: true },
  "top-p": { value: "P", help: "top-p (nucleus) sampling", rare: true },
  "min-p": { value: "P", help: "min-p sampling", rare: true },
  seed: { value: "N", help: "random seed", rare: true },
  "repetition-penalty": { value: "X", help: "penalty on tokens that occur in the answer (1)", rare: true },
  "presence-penalty": { value: "X", help: "the same, subtracted once (0)", rare: true },
  "frequency-penalty": { value: "X", help: "the same, subtracted per occurrence (0)", rare: true },
  stop: { value: "STRING", help: "stop sequence; may be given several times", multiple: true, rare: true },
  schema: { value: "FILE.json", help: "answer in JSON that is valid against this schema", path: true },
  "any-json": { help: "answer in any JSON", rare: true },
  regex: { value: "PATTERN", help: "the whole answer matches this regular expression", rare: true },
  grammar: { value: "FILE", help: "the whole answer matches `root` of this EBNF grammar", path: true, rare: true },
  ...SPECIAL_TOKENS_OPTION,
};

const NUMBERS = {
  temperature: "temperature",
  "top-k": "topK",
  "top-p": "topP",
  "min-p": "minP",
  seed: "seed",
  "repetition-penalty": "repetitionPenalty",
  "presence-penalty": "presencePenalty",
  "frequency-penalty": "frequencyPenalty",
} as const satisfies Record<string, keyof GenerateOptions>;

/** Reads the answer options and their files. Ranges are checked by the model. Throws OptionError, SourceError. */
export async function answerOptions(given: Arguments): Promise<GenerateOptions> {
  const options: GenerateOptions = {};
  const maxNewTokens = given.count("max-new-tokens");
  if (maxNewTokens !== undefined) options.maxNewTokens = maxNewTokens;
  for (const [flag, name] of Object.entries(NUMBERS)) {
    const number = given.number(flag);
    if (number !== undefined) options[name] = number;
  }
  const stops = given.values("stop");
  if (stops.length > 0) options.stop = stops;
  const [schema, regex, grammar] = [given.value("schema"), given.value("regex"), given.value("grammar")];
  if (schema !== undefined && given.has("any-json")) {
    throw new OptionError({
      where: given.where,
      expected: "either --schema or --any-json",
      got: "both",
      remedy: "leave --any-json out: what the schema accepts is JSON",
    });
  }
  if (given.has("any-json")) options.schema = true;
  if (schema !== undefined) {
    const remedy = "correct the file; --any-json asks for JSON without a schema";
    options.schema = (await readJson(schema, "--schema", "a JSON schema", remedy)) as object;
  }
  if (regex !== undefined) options.regex = regex;
  if (grammar !== undefined) options.grammar = await readText(grammar, "--grammar");
  return { ...options, ...specialTokensOption(given) };
}

/** Reads `--special-tokens`. */
export function specialTokensOption(given: Arguments): Pick<GenerateOptions, "specialTokens"> {
  const specialTokens = given.value("special-tokens") as GenerateOptions["specialTokens"];
  return specialTokens === undefined ? {} : { specialTokens };
}
