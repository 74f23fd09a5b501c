import { OcellusError, OptionError, printable } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import { ask } from "./ask.js";
import { batch } from "./batch.js";
import { bench } from "./bench.js";
import { chat } from "./chat.js";
import { convert } from "./convert.js";
import { demo } from "./demo.js";
import { doctor } from "./doctor.js";
import { estimate } from "./estimate.js";
import { serve } from "./serve.js";
import { tune } from "./tune.js";

const HELP = `ocellus: LLaVA-OneVision on WebGPU

  ocellus ask [options] ["question"]   answer a question about pictures
  ocellus chat [options]               a conversation in the terminal
  ocellus demo                         the embedded checkpoint on bundled pictures
  ocellus convert FROM TO --dtype q4   writes a quantised checkpoint
  ocellus estimate [MODEL]             estimates memory and download size, before a download
  ocellus serve                        an HTTP server with OpenAI's interface
  ocellus batch IN.jsonl -o OUT.jsonl  a file of requests in OpenAI's batch format
  ocellus bench [pattern]              verify and time kernels and layers on this adapter
  ocellus tune                         autotunes kernel parameters on this adapter
  ocellus doctor                       reports the adapter, its limits, and missing packages

\`ocellus <command> --help\` lists a command's options. --debug prints stack traces.
`;

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  ask,
  batch,
  bench,
  chat,
  convert,
  demo,
  doctor,
  estimate,
  serve,
  tune,
};

async function runCommand(args: string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(HELP);
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    throw new OptionError({
      where: "ocellus",
      expected: `a command (${Object.keys(COMMANDS).join(", ")})`,
      got: name,
      remedy: suggestion(name, Object.keys(COMMANDS), (near) => `\`ocellus ${near}\``) ?? "run `ocellus --help`",
    });
  }
  await command(rest);
}

/** Runs the command that `given` names and ends the process: with 1 after an error, which is printed. */
export function run(given: readonly string[]): void {
  const debug = given.includes("--debug");
  runCommand(given.filter((arg) => arg !== "--debug")).then(
    // The Dawn binding keeps the process alive while a device exists; all output is written by now.
    () => process.stdout.write("", () => process.exit(process.exitCode ?? 0)),
    (error: unknown) => {
      const known = error instanceof OcellusError;
      const text =
        error instanceof Error ? (debug || !known ? (error.stack ?? error.message) : error.message) : String(error);
      process.stderr.write(`ocellus: ${printable(text, true)}\n`);
      if (!known && !debug) process.stderr.write("This is a bug in Ocellus; please report it with the lines above.\n");
      process.exit(1);
    },
  );
}
