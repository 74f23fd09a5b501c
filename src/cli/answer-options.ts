import { OptionError } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import type { Arguments } from "./arguments.js";
import { readJson, readText } from "./input-file.js";

export const SPECIAL_TOKENS_OPTION = { "special-tokens": { type: "string" } } as const;

export const SPECIAL_TOKENS_HELP = `\
  --special-tokens HOW    how <image>, <|im_end|> and the like in texts are read: literal (plain text) or parse (as tokens)`;

/** Options of commands that generate answers: sampling, stopping, structured output. */
export const ANSWER_OPTIONS = {
  "max-new-tokens": { type: "string" },
  temperature: { type: "string" },
  "top-k": { type: "string" },
  "top-p": { type: "string" },
  "min-p": { type: "string" },
  seed: { type: "string" },
  "repetition-penalty": { type: "string" },
  "presence-penalty": { type: "string" },
  "frequency-penalty": { type: "string" },
  stop: { type: "string", multiple: true },
  schema: { type: "string" },
  "any-json": { type: "boolean" },
  regex: { type: "string" },
  grammar: { type: "string" },
  ...SPECIAL_TOKENS_OPTION,
} as const;

export const ANSWER_HELP = `\
  --max-new-tokens N      maximum number of tokens to generate (256)
  --temperature T         sampling temperature; 0 is greedy decoding (0)
  --top-k K, --top-p P, --min-p P, --seed N
                          top-k, top-p (nucleus) and min-p sampling, and the random seed
  --repetition-penalty X, --presence-penalty X, --frequency-penalty X
                          penalties on tokens that occur in the answer
  --stop STRING           stop sequence; may be given several times
  --schema FILE.json      structured output: JSON that is valid against this schema
  --any-json              structured output: any JSON
  --regex PATTERN         structured output: the whole answer matches this regular expression
  --grammar FILE          structured output: the whole answer matches \`root\` of this EBNF grammar
                          files may be pipes or FIFOs, and one may be - for standard input
${SPECIAL_TOKENS_HELP}`;

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
export async function answerOptions(given: Arguments, command: string): Promise<GenerateOptions> {
  const options: GenerateOptions = {};
  const maxNewTokens = given.count("max-new-tokens");
  if (maxNewTokens !== undefined) options.maxNewTokens = maxNewTokens;
  for (const [flag, name] of Object.entries(NUMBERS)) {
    const text = given.value(flag);
    if (text === undefined) continue;
    options[name] = Number(text);
    if (Number.isNaN(options[name])) {
      throw new OptionError({
        where: `ocellus ${command}, --${flag}`,
        expected: "a number",
        got: text,
        remedy: "give for example 0.7, and 40 for --top-k",
      });
    }
  }
  const stops = given.ordered.filter(({ name }) => name === "stop").map(({ value }) => value!);
  if (stops.length > 0) options.stop = stops;
  const [schema, regex, grammar] = [given.value("schema"), given.value("regex"), given.value("grammar")];
  if (schema !== undefined && given.has("any-json")) {
    throw new OptionError({
      where: `ocellus ${command}`,
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
  return { ...options, ...specialTokensOption(given, command) };
}

/** Reads `--special-tokens`. Throws OptionError. */
export function specialTokensOption(given: Arguments, command: string): Pick<GenerateOptions, "specialTokens"> {
  const specialTokens = oneOf(given, command, "special-tokens", ["literal", "parse"] as const);
  return specialTokens === undefined ? {} : { specialTokens };
}

/** Returns the value of an enumerated option; undefined if not given. Throws OptionError. */
export function oneOf<T extends string>(
  given: Arguments,
  command: string,
  name: string,
  values: readonly T[],
): T | undefined {
  const text = given.value(name);
  if (text === undefined) return undefined;
  const value = values.find((v) => v === text);
  if (value) return value;
  throw new OptionError({
    where: `ocellus ${command}, --${name}`,
    expected: values.join(" or "),
    got: text,
    remedy: suggestion(text, values, String) ?? `run \`ocellus ${command} --help\``,
  });
}
