import { type Command, type CommandOption, optionsOf } from "./command.js";

/** Terminals are 80 columns wide unless somebody widens them. */
const WIDTH = 80;
/** Column at which descriptions begin; a longer label has a line of its own. */
const COLUMN = 26;

/** Help of a command, at most a screen of 24 lines: usage, common options, examples. `all` adds the rest. */
export function printHelp(command: Command, all: boolean): string {
  const hasMore = command.notes !== undefined || Object.values(command.options).some(({ rare }) => rare);
  const shown = Object.entries(optionsOf(command)).filter(([name, { rare }]) =>
    all ? name !== "help-all" : !rare || (name === "help-all" && hasMore),
  );
  const parts = [
    `ocellus ${command.name} ${command.usage}`.trimEnd(),
    "",
    ...wrapped(command.about, WIDTH),
    "",
    ...shown.map(([name, option]) => line(labelOf(name, option), option.help)),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    ...(all && command.notes !== undefined ? ["", command.notes] : []),
  ];
  return `${parts.join("\n")}\n`;
}

/** A row of a list: a label and its description, wrapped. */
export function line(label: string, text: string): string {
  const [first = "", ...rest] = wrapped(text, WIDTH - COLUMN);
  const head = `  ${label}`.padEnd(COLUMN);
  const indent = " ".repeat(COLUMN);
  const lines = head.length > COLUMN ? [head, `${indent}${first}`] : [`${head}${first}`];
  return [...lines, ...rest.map((more) => `${indent}${more}`)].join("\n");
}

function labelOf(name: string, { value, short }: CommandOption): string {
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
