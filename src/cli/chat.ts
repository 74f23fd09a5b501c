import { createInterface } from "node:readline";
import { AbortedError, OcellusError } from "../base/errors.js";
import type { Answer } from "../models/chat/answer.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { ANSWER_OPTIONS, answerOptions, specialTokensOption } from "./answer-options.js";
import { type Chat, COMMANDS_HELP, runCommand } from "./chat-commands.js";
import type { Arguments, Command } from "./command.js";
import { takeStandardInput } from "./input-file.js";
import { type Interruption, type StopSignal, statusOf } from "./interruption.js";
import { MODEL_OPTIONS, modelLocation, openOptions } from "./model-options.js";
import { dim, note } from "./note.js";
import { ProgressLine } from "./progress-line.js";

/** Runs a conversation in the terminal, or on lines from a pipe. */
export const chat: Command = {
  name: "chat",
  usage: "[options]",
  about: `A conversation. What is typed is a question or a command: /image FILE, /video FILE,
/help. Lines from a file or a pipe are answered in order.`,
  options: { ...MODEL_OPTIONS, system: { value: "TEXT", help: "system prompt" }, ...ANSWER_OPTIONS },
  examples: [
    "ocellus chat --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype q8",
    "ocellus chat --system 'Answer in one sentence.' < questions.txt",
  ],
  notes: `Commands:

${COMMANDS_HELP}

Ctrl-C stops an answer; twice quits.`,
  run: converse,
};

/** Interval in milliseconds within which a second Ctrl-C quits. */
const TWICE_MS = 1500;

async function converse(given: Arguments, interruption: Interruption): Promise<void> {
  takeStandardInput("the conversation");
  const options = await answerOptions(given);
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(modelLocation(given.value("model")), {
    onDeviceLost: "reload",
    signal: interruption.signal,
    ...(await openOptions(given)),
    ...line.loading,
  }).finally(() => line.clear());

  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const system = given.value("system");
  const state: Chat = {
    model,
    session: model.createSession(system === undefined ? {} : { system }),
    options: specialTokensOption(given),
    say: note,
    onProgress: (p) => line.answer(p),
  };
  const input = createInterface({ input: process.stdin, output: process.stdout, terminal, prompt: "> " });
  let running: { stop(): void } | undefined;
  let quits = false;
  let stoppedAt = Number.NEGATIVE_INFINITY;
  const interrupt = (name: StopSignal = "SIGINT"): void => {
    const now = performance.now();
    if (!running || !terminal || name !== "SIGINT" || now - stoppedAt < TWICE_MS) {
      quits = true;
      process.exitCode = statusOf(name);
      input.close();
    }
    running?.stop();
    stoppedAt = now;
  };
  // A terminal in raw mode sends Ctrl-C as a character.
  input.on("SIGINT", () => interrupt());
  interruption.react(interrupt);
  if (terminal) process.stderr.write(`${dim("/help lists the commands")}\n`);
  try {
    if (terminal) input.prompt();
    for await (const text of input) {
      // Lines that were read before are still iterated.
      if (quits) break;
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
        if (!terminal && !quits) process.exitCode = 1;
      } finally {
        line.clear();
        running = undefined;
      }
      if (terminal && !quits) input.prompt();
    }
  } finally {
    interruption.react(undefined);
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
