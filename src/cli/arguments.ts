import { type ParseArgsConfig, parseArgs } from "node:util";
import { OptionError } from "../base/errors.js";
import { suggestion } from "../base/options.js";

type OptionTypes = NonNullable<ParseArgsConfig["options"]>;

/** An option in the order of the command line. */
export interface OrderedOption {
  readonly name: string;
  readonly value: string | undefined;
}

export interface Arguments {
  readonly positionals: string[];
  /** All options in order: the order of pictures is the order of the flags. */
  readonly ordered: OrderedOption[];
  /** Returns the last value of an option. */
  value(name: string): string | undefined;
  has(name: string): boolean;
  /** Returns an integer of at least `least` (1). Throws OptionError. */
  count(name: string, least?: number): number | undefined;
}

/** Parses a command's arguments. Throws OptionError for an unknown option, with the nearest one that exists. */
export function parse(command: string, args: string[], options: OptionTypes): Arguments {
  const where = `ocellus ${command}`;
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const positionals: string[] = [];
  const ordered: OrderedOption[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const known = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (!known) {
      throw new OptionError({
        where,
        expected: "a known option",
        got: token.rawName,
        remedy:
          suggestion(token.name, Object.keys(options), (name) => `--${name}`) ?? `run \`ocellus ${command} --help\``,
      });
    }
    if (known.type === "string" && (token.value === undefined || token.value === "")) {
      throw new OptionError({
        where,
        expected: `a value after --${token.name}`,
        got: "none",
        remedy: `run \`ocellus ${command} --help\``,
      });
    }
    if (known.type === "boolean" && token.value !== undefined) {
      throw new OptionError({
        where,
        expected: `--${token.name} alone`,
        got: `a value`,
        remedy: `leave out ${token.value}`,
      });
    }
    ordered.push({ name: token.name, value: token.value });
  }
  const value = (name: string) => ordered.findLast((option) => option.name === name)?.value;
  return {
    positionals,
    ordered,
    value,
    has: (name) => ordered.some((option) => option.name === name),
    count(name, least = 1) {
      const text = value(name);
      if (text === undefined) return undefined;
      const number = Number(text);
      if (text.trim() !== "" && Number.isInteger(number) && number >= least) return number;
      throw new OptionError({
        where: `${where}, --${name}`,
        expected: least === 1 ? "a whole number above 0" : `a whole number from ${least}`,
        got: text,
        remedy: `give for example ${least === 1 ? 64 : least}`,
      });
    },
  };
}
