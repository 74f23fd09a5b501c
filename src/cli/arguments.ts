import { parseArgs } from "node:util";
import { OptionError } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import { type Arguments, type Command, type CommandOptions, type OrderedOption, optionsOf } from "./command.js";
import { expandHome } from "./input-file.js";

/**
 * Parses a command's arguments. Throws OptionError for an unknown option, with the nearest one that exists; for one without its value
 * or with one too many; for a value that is not allowed; for an option that is given twice or after `--`.
 */
export function parse(command: Command, args: readonly string[]): Arguments {
  const where = `ocellus ${command.name}`;
  const help = `run \`${where} --help\``;
  const refuse = (expected: string, got: string, remedy: string): OptionError =>
    new OptionError({ where, expected, got, remedy });
  const options = optionsOf(command);
  const known = (word: string): boolean =>
    word.startsWith("--") && Object.hasOwn(options, word.slice(2).split("=")[0]!);
  const { tokens } = parseArgs({
    args: [...args],
    options: parserOptions(options),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const positionals: string[] = [];
  const ordered: OrderedOption[] = [];
  let isOver = false;
  for (const token of tokens) {
    if (token.kind === "option-terminator") {
      isOver = true;
      continue;
    }
    if (token.kind === "positional") {
      if (isOver && known(token.value)) {
        throw refuse(
          "options before --",
          `${token.value} after it`,
          "move -- to the end, before the text that it protects",
        );
      }
      positionals.push(command.positionalPaths ? expandHome(token.value) : token.value);
      continue;
    }
    const { name, value } = token;
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (!option) {
      const word = args[token.index]!;
      throw refuse(
        "a known option",
        token.rawName.startsWith("--") ? token.rawName : word,
        meant(word, options) ?? help,
      );
    }
    if (option.value === undefined) {
      if (value !== undefined) throw refuse(`--${name} alone`, `the value ${value}`, `leave out =${value}`);
      ordered.push({ name, value });
      continue;
    }
    if (value === undefined || value === "") {
      throw refuse(`a value after --${name}`, value === undefined ? "none" : "an empty one", help);
    }
    if (!token.inlineValue && known(value)) {
      throw refuse(
        `a value after --${name}`,
        `the option ${value}`,
        `give ${option.value} after --${name}, or write --${name}=${value}`,
      );
    }
    if (!option.multiple && ordered.some((earlier) => earlier.name === name)) {
      throw refuse(
        `--${name} once`,
        `it twice (${ordered.find((o) => o.name === name)?.value}, ${value})`,
        "leave one out",
      );
    }
    if (option.choices && !option.choices.includes(value)) {
      const remedy = suggestion(value, option.choices, String) ?? help;
      throw new OptionError({
        where: `${where}, --${name}`,
        expected: option.choices.join(" or "),
        got: value,
        remedy,
      });
    }
    ordered.push({ name, value: option.path ? expandHome(value) : value });
  }
  const { mostPositionals: most = 0 } = command;
  if (positionals.length > most) {
    const remedy = most > 0 ? "put quotes round one with spaces" : options.model ? "a model goes after --model" : help;
    const expected = most === 0 ? "options only" : `at most ${most} argument${most === 1 ? "" : "s"} besides options`;
    throw refuse(expected, positionals.join(" "), remedy);
  }
  return new Parsed(where, positionals, ordered);
}

function parserOptions(options: CommandOptions): Record<string, { type: "string" | "boolean"; short?: string }> {
  return Object.fromEntries(
    Object.entries(options).map(([name, { value, short }]) => {
      const type = value === undefined ? ("boolean" as const) : ("string" as const);
      return [name, short === undefined ? { type } : { type, short }];
    }),
  );
}

/** The remedy for an unknown option: the one that was meant, also with one dash for two. */
function meant(word: string, options: CommandOptions): string | undefined {
  if (/\s/.test(word)) return "put -- before a text that begins with a dash";
  const name = word.replace(/^-+/, "").split("=")[0]!;
  if (Object.hasOwn(options, name)) return `did you mean --${name}?`;
  return suggestion(name, Object.keys(options), (near) => `--${near}`);
}

class Parsed implements Arguments {
  constructor(
    readonly where: string,
    readonly positionals: readonly string[],
    readonly ordered: readonly OrderedOption[],
  ) {}

  value(name: string): string | undefined {
    return this.ordered.find((option) => option.name === name)?.value;
  }

  values(name: string): string[] {
    return this.ordered.flatMap((option) => (option.name === name && option.value !== undefined ? option.value : []));
  }

  has(name: string): boolean {
    return this.ordered.some((option) => option.name === name);
  }

  count(name: string, least = 1): number | undefined {
    const text = this.value(name);
    if (text === undefined) return undefined;
    const number = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(number) && number >= least) return number;
    const expected = least === 1 ? "a whole number above 0" : `a whole number from ${least}`;
    throw this.#wrong(name, expected, text, `give for example ${least === 1 ? 64 : least}`);
  }

  number(name: string): number | undefined {
    const text = this.value(name);
    if (text === undefined) return undefined;
    const number = Number(text);
    if (text.trim() !== "" && !Number.isNaN(number)) return number;
    throw this.#wrong(name, "a number", text, "give for example 0.7, with a point for decimals");
  }

  positive(name: string): number | undefined {
    const text = this.value(name);
    const number = Number(text);
    if (text === undefined || (text.trim() !== "" && number > 0 && Number.isFinite(number))) {
      return text === undefined ? undefined : number;
    }
    throw this.#wrong(name, "a number above 0", text, "give for example 0.5");
  }

  #wrong(name: string, expected: string, got: string, remedy: string): OptionError {
    return new OptionError({ where: `${this.where}, --${name}`, expected, got, remedy });
  }
}
