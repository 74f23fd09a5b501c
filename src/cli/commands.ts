import { existsSync } from "node:fs";
import { causeMessage } from "../base/cause-message.js";
import { AbortedError, OcellusError, OptionError, printable } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import { type Command, type CommandList, optionsOf } from "./command.js";
import { line } from "./help.js";
import { Interruption } from "./interruption.js";
import { guardOutput } from "./output.js";
import { printVersion, runCommand } from "./run-command.js";

/** The commands in the order of the help: what each is for, and its module, which is loaded when it is needed. */
export const COMMANDS: CommandList = {
  ask: ["answer a question about pictures and clips", async () => (await import("./ask.js")).ask],
  chat: ["a conversation in the terminal", async () => (await import("./chat.js")).chat],
  demo: ["the embedded toy on bundled pictures", async () => (await import("./demo.js")).demo],
  estimate: ["memory and download size, before a download", async () => (await import("./estimate.js")).estimate],
  convert: ["write a quantised checkpoint", async () => (await import("./convert.js")).convert],
  serve: ["an HTTP server with OpenAI's interface", async () => (await import("./serve.js")).serve],
  batch: ["answer a file of requests in OpenAI's batch format", async () => (await import("./batch.js")).batch],
  worker: ["answer the requests of a queue in Redis", async () => (await import("./worker.js")).worker],
  eval: ["score answers to questions with known answers", async () => (await import("./eval.js")).evaluate],
  train: ["fine-tune on your own data", async () => (await import("./train.js")).train],
  bench: ["verify and time kernels; bench serve: a loaded server", async () => (await import("./bench.js")).bench],
  "bench serve": ["time a server under load", async () => (await import("./bench-serve.js")).benchServe],
  tune: ["find the best kernel parameters for this GPU", async () => (await import("./tune.js")).tune],
  doctor: ["report the adapter and missing packages", async () => (await import("./doctor.js")).doctor],
  completion: [
    "print the completion script of a shell",
    async () => (await import("./completion.js")).completionOf(COMMANDS),
  ],
};

const HELP = `ocellus: LLaVA-OneVision on WebGPU

${Object.entries(COMMANDS)
  .filter(([name]) => !name.includes(" "))
  .map(([name, [summary]]) => line(`ocellus ${name}`, summary))
  .join("\n")}

${line("ocellus COMMAND --help", "its options, with examples")}
${line("--version, --debug", "the version; stack traces, and what GPU drivers write")}

  ocellus ask --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype q8 \\
    --image photo.jpg "What is in this picture?"

Exit status: 0, 1 after an error, 2 for a wrong command line, 130 after Ctrl-C.
`;

/** Status after an error, and after one of the command line. */
const FAILED = 1;
const MISUSED = 2;

/** Runs the command that `args` name, or prints the help or version. Throws OptionError, and the errors of the command. */
export async function runGiven(args: readonly string[], interruption: Interruption): Promise<void> {
  const [name, ...rest] = joined(args);
  const [about] = joined(rest);
  const asked = name === "help" && about !== undefined ? await commandOf(about) : undefined;
  if (asked) return runCommand(asked, ["--help"], interruption);
  if (name === undefined || ["--help", "-h", "help"].includes(name)) process.stdout.write(HELP);
  else if (["--version", "-v", "version"].includes(name)) printVersion();
  else await runCommand(await commandOf(name, rest), rest, interruption);
}

/** Makes the two words of a command such as `bench serve` one. */
function joined([first, second, ...rest]: readonly string[]): string[] {
  const both = `${first} ${second}`;
  if (second !== undefined && Object.hasOwn(COMMANDS, both)) return [both, ...rest];
  return [first, second, ...rest].filter((word) => word !== undefined);
}

/** Loads a command. Throws OptionError for an unknown one. */
async function commandOf(name: string, rest: readonly string[] = []): Promise<Command> {
  const [, load] = (Object.hasOwn(COMMANDS, name) && COMMANDS[name]) || [];
  if (load) return load();
  throw new OptionError({
    where: "ocellus",
    expected: `a command (${Object.keys(COMMANDS).join(", ")})`,
    got: name,
    remedy:
      (await forgotten(name, rest)) ??
      suggestion(name, Object.keys(COMMANDS), (near) => `\`ocellus ${near}\``) ??
      "run `ocellus --help`",
  });
}

/** The remedy where `ask` was left out: for one of its options, a question, or a file. */
async function forgotten(name: string, rest: readonly string[]): Promise<string | undefined> {
  const { ask } = await import("./ask.js");
  const isOption = name.startsWith("--") && Object.hasOwn(optionsOf(ask), name.slice(2).split("=")[0]!);
  if (isOption) return `did you mean \`ocellus ask ${name}${rest.length > 0 ? " …" : ""}\`?`;
  if (/\s/.test(name)) return 'did you mean `ocellus ask "…"`?';
  return existsSync(name) ? `did you mean \`ocellus ask --image ${name} "…"\`?` : undefined;
}

/** Runs the command that `given` names and ends the process: with a status of its own after an error, which is printed. */
export function run(given: readonly string[]): void {
  const end = given.indexOf("--");
  const debug = given.slice(0, end < 0 ? given.length : end).includes("--debug");
  const interruption = Interruption.listen();
  guardOutput();
  // `--debug` may come before the command too.
  runGiven(given[0] === "--debug" ? given.slice(1) : given, interruption).then(
    // The Dawn binding keeps the process alive while a device exists; all output is written by now.
    () => process.stdout.write("", (error) => error ?? process.exit(process.exitCode ?? 0)),
    (error: unknown) => {
      if (error instanceof AbortedError && interruption.status !== undefined) process.exit(interruption.status);
      const { status, text } = failureOf(error, debug);
      process.stderr.write(text);
      process.exit(status);
    },
  );
}

/** The status of the process after an error, and what is printed of it. */
export function failureOf(error: unknown, debug: boolean): { readonly status: number; readonly text: string } {
  return { status: error instanceof OptionError ? MISUSED : FAILED, text: messageOf(error, debug) };
}

/** The program's name comes first, once: errors of the command line begin with it themselves. */
function messageOf(error: unknown, debug: boolean): string {
  const known = error instanceof OcellusError;
  const said = causeMessage(error);
  const text = printable(error instanceof Error && (debug || !known) ? (error.stack ?? said) : said, true);
  const bug = known || debug ? "" : "This is a bug in Ocellus; please report it with the lines above.\n";
  return `${said.startsWith("ocellus") ? "" : "ocellus: "}${text}\n${bug}`;
}
