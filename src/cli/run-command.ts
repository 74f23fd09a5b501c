import { parse } from "./arguments.js";
import type { Command } from "./command.js";
import { printHelp } from "./help.js";
import type { Interruption } from "./interruption.js";
import { versionOf } from "./version.js";

/** Parses the arguments of a command and runs it, or prints its help. Throws OptionError, and the errors of the command. */
export async function runCommand(command: Command, args: readonly string[], interruption: Interruption): Promise<void> {
  const given = parse(command, args);
  if (given.has("help") || given.has("help-all")) process.stdout.write(printHelp(command, given.has("help-all")));
  else if (given.has("version")) printVersion();
  else await command.run(given, interruption);
}

/** Prints the version of this package. */
export function printVersion(): void {
  process.stdout.write(`${versionOf("../../package.json")}\n`);
}
