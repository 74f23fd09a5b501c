import type { Interruption } from "./interruption.js";

/** An option of a command: parsing, help and shell completion read this one description. */
export interface CommandOption {
  /** Placeholder of its value in the help, such as FILE; an option without one is a switch. */
  readonly value?: string;
  readonly help: string;
  readonly short?: string;
  /** Whether it may be given several times. */
  readonly multiple?: true;
  /** Its allowed values. */
  readonly choices?: readonly string[];
  /** Values that completion offers; others are allowed too. */
  readonly offers?: readonly string[];
  /** Whether the value is a path: `~` is expanded, and completion offers files. */
  readonly path?: true;
  /** Whether only `--help-all` lists it. */
  readonly rare?: true;
}

export type CommandOptions = Readonly<Record<string, CommandOption>>;

/** An option in the order of the command line. */
export interface OrderedOption {
  readonly name: string;
  readonly value: string | undefined;
}

export interface Arguments {
  /** The command, for errors: `ocellus ask`. */
  readonly where: string;
  readonly positionals: readonly string[];
  /** All options in order: the order of pictures is the order of the flags. */
  readonly ordered: readonly OrderedOption[];
  /** Returns the value of an option. */
  value(name: string): string | undefined;
  /** Returns the values of an option that may be given several times. */
  values(name: string): string[];
  has(name: string): boolean;
  /** Returns an integer of at least `least` (1). Throws OptionError. */
  count(name: string, least?: number): number | undefined;
  /** Returns a number above 0, such as seconds. Throws OptionError. */
  positive(name: string): number | undefined;
  /** Returns a number; its range is the model's to check. Throws OptionError. */
  number(name: string): number | undefined;
}

/** A command of the command line. */
export interface Command {
  readonly name: string;
  /** What follows the name, for the first line of its help. */
  readonly usage: string;
  /** What it does: one paragraph. */
  readonly about: string;
  readonly options: CommandOptions;
  /** Maximum number of positional arguments; none if not given. */
  readonly mostPositionals?: number;
  /** Whether positional arguments are paths: `~` is expanded, and completion offers files. */
  readonly positionalPaths?: true;
  /** Words that completion offers as positional arguments. */
  readonly words?: readonly string[];
  /** Command lines that people copy. */
  readonly examples: readonly string[];
  /** Text below the examples, of `--help-all` only. */
  readonly notes?: string;
  run(given: Arguments, interruption: Interruption): Promise<void>;
}

/** Options that every command has. */
const COMMON: CommandOptions = {
  help: { short: "h", help: "this page" },
  "help-all": { help: "all options", rare: true },
  version: { short: "v", help: "the version", rare: true },
  debug: { help: "print stack traces, and what the GPU's drivers write", rare: true },
};

/** Returns all options of a command. */
export function optionsOf(command: Pick<Command, "options">): CommandOptions {
  return { ...command.options, ...COMMON };
}

/** Commands by name: what each is for, and its module, which is loaded when it is needed. */
export type CommandList = Readonly<Record<string, readonly [summary: string, load: () => Promise<Command>]>>;
