import { createInterface } from "node:readline";
import { AbortedError, OcellusError } from "../base/errors.js";
import type { Answer } from "../models/chat/answer.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { ANSWER_HELP, ANSWER_OPTIONS, answerOptions, specialTokensOption } from "./answer-options.js";
import { parse } from "./arguments.js";
import { type Chat, COMMANDS_HELP, runCommand } from "./chat-commands.js";
import { takeStandardInput } from "./input-file.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { tinyCheckpoint } from "./tiny-checkpoint.js";

const HELP = `ocellus chat [options]: a conversation

  --model WHERE           checkpoint folder, hub id (org/name) or URL (the embedded tiny one if not given)
  --revision NAME, --refresh, --offline
                          which version of a hub id, as for \`ocellus ask\`
  --dtype TYPE            storage dtype of weights: auto, f32, f16, bf16, q8, q4; or by part: vision=q8,language=q4
  --system TEXT           system prompt
${ANSWER_HELP}

What is typed is a question, or a command:

${COMMANDS_HELP}

Ctrl-C stops an answer; twice quits. Lines from a file or a pipe are answered in order.
`;

const OPTIONS = {
  model: { type: "string" },
  revision: { type: "string" },
  refresh: { type: "boolean" },
  offline: { type: "boolean" },
  dtype: { type: "string" },
  system: { type: "string" },
  ...ANSWER_OPTIONS,
  help: { type: "boolean", short: "h" },
} as const;

/** Interval in milliseconds within which a second Ctrl-C quits. */
const TWICE_MS = 1500;

/** Runs a conversation in the terminal, or on lines from a pipe. */
export async function chat(args: string[]): Promise<void> {
  const given = parse("chat", args, OPTIONS);
  if (given.has("help")) {
    process.stdout.write(HELP);
    return;
  }
  takeStandardInput("the conversation");
  const options = await answerOptions(given, "chat");
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(given.value("model") ?? tinyCheckpoint(), {
    ...dtypeOption(given),
    ...hubOptions(given),
    onDownload: (p) => line.bytes(`downloading ${p.file}:`, p.allLoadedBytes, p.allTotalBytes, p.bytesPerSecond),
    onProgress: (p) => line.bytes("loading", p.loadedBytes, p.totalBytes),
  }).finally(() => line.clear());

  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const system = given.value("system");
  const state: Chat = {
    model,
    session: model.createSession(system === undefined ? {} : { system }),
    options: specialTokensOption(given, "chat"),
    say: (text) => process.stderr.write(`${dim(text)}\n`),
    onProgress: (p) => (p.stage === "decode" ? line.clear() : line.count(p.stage, p.done, p.total)),
  };
  const input = createInterface({ input: process.stdin, output: process.stdout, terminal, prompt: "> " });
  let running: { stop(): void } | undefined;
  let stoppedAt = Number.NEGATIVE_INFINITY;
  const interrupt = (): void => {
    const now = performance.now();
    if (!running || now - stoppedAt < TWICE_MS) input.close();
    running?.stop();
    stoppedAt = now;
  };
  input.on("SIGINT", interrupt);
  process.on("SIGINT", interrupt);
  if (terminal) process.stderr.write(`${dim("/help lists the commands")}\n`);
  try {
    if (terminal) input.prompt();
    for await (const text of input) {
      const abort = new AbortController();
      running = { stop: () => abort.abort() };
      try {
        if (text.startsWith("/")) {
          if (!(await runCommand(state, text, abort.signal))) break;
        } else if (text.trim() !== "") {
          const answer = state.session.generate(text, { ...options, onProgress: state.onProgress });
          running = answer;
          await print(answer, state, line, terminal);
        }
      } catch (error) {
        if (!(error instanceof OcellusError)) throw error;
        state.say(error instanceof AbortedError ? "stopped" : error.message);
        if (!terminal) process.exitCode = 1;
      } finally {
        line.clear();
        running = undefined;
      }
      if (terminal) input.prompt();
    }
  } finally {
    process.off("SIGINT", interrupt);
    input.close();
    model.dispose();
  }
}

async function print(answer: Answer, state: Chat, line: ProgressLine, terminal: boolean): Promise<void> {
  const pieces = (async () => {
    for await (const { text } of answer) {
      line.clear();
      process.stdout.write(text);
    }
  })();
  const { usage, timings, finishReason } = await answer.result.finally(() => pieces.catch(() => {}));
  process.stdout.write("\n");
  if (!terminal) return;
  const { maxPositions } = state.model.config.text;
  const rate = timings.decode > 0 ? (usage.completionTokens - 1) / timings.decode : 0;
  const ended = finishReason === "length" ? ", truncated: --max-new-tokens allows more" : "";
  state.say(`${rate.toFixed(1)} tokens/s, ${usage.totalTokens} of ${maxPositions} tokens${ended}`);
}

function dim(text: string): string {
  return process.stderr.isTTY ? `\x1b[2m${text}\x1b[0m` : text;
}
