import { createReadStream } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import { addAbortSignal } from "node:stream";
import { causeMessage } from "../base/cause-message.js";
import { OcellusError, OptionError, throwIfAborted } from "../base/errors.js";
import { MAX_MEDIA_BYTES } from "../io/source.js";
import { decodeText } from "../io/text.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { RequestError } from "../openai/api-error.js";
import { ChatCompletions } from "../openai/chat-completions.js";
import type { ReadMedia } from "../openai/content.js";
import { Batch } from "../server/batch.js";
import { SPECIAL_TOKENS_OPTION, specialTokensOption } from "./answer-options.js";
import { BatchResults } from "./batch-results.js";
import type { Arguments, Command } from "./command.js";
import { isStandardInput, isStream, takeStandardInput, typed } from "./input-file.js";
import type { Interruption } from "./interruption.js";
import { chunksOf, type Line, linesOf } from "./lines.js";
import { loadOptions, MODEL_OPTIONS, modelLocation, servedName } from "./model-options.js";
import { note } from "./note.js";
import { ProgressLine } from "./progress-line.js";

/** Answers a file of requests. */
export const batch: Command = {
  name: "batch",
  usage: "IN.jsonl -o OUT.jsonl [options]",
  about: `Answers a file of requests in OpenAI's batch format, one per line: { "custom_id",
"method": "POST", "url": "/v1/chat/completions", "body" }. Run it again to resume after
an interruption: requests with a result in OUT.jsonl are skipped. IN.jsonl may be a
pipe, or - for standard input; OUT.jsonl may be - for standard output, without resuming.
Exit status 1 if a request failed.`,
  options: {
    output: { value: "FILE", short: "o", help: "output file, one line per result", path: true },
    ...MODEL_OPTIONS,
    name: { value: "NAME", help: "model name in requests (hub id, or folder's name)" },
    "input-dir": {
      value: "DIR",
      help: "allow paths below this folder for pictures and clips; without it only data: URLs",
      path: true,
    },
    "max-sequences": { value: "N", help: "requests answered at once, which share decode steps (4)" },
    parallel: { value: "N", help: "former name of --max-sequences", rare: true },
    ...SPECIAL_TOKENS_OPTION,
  },
  positionalPaths: true,
  mostPositionals: 1,
  examples: ["ocellus batch in.jsonl -o out.jsonl", "cat in.jsonl | ocellus batch - -o - > out.jsonl"],
  run: answer,
};

async function answer(given: Arguments, interruption: Interruption): Promise<void> {
  const [input] = given.positionals;
  const output = given.value("output");
  if (input === undefined || output === undefined || isSame(input, output)) {
    throw new OptionError({
      where: given.where,
      expected: "one file of requests, and another for the results",
      got: input === undefined ? "no file of requests" : output === undefined ? "no -o" : `${input} twice`,
      remedy: "run for example: ocellus batch in.jsonl -o out.jsonl",
    });
  }
  const results = await BatchResults.claim(output);
  try {
    await answerInto(results, input, given, interruption);
  } finally {
    await results.close();
  }
}

async function answerInto(
  results: BatchResults,
  input: string,
  given: Arguments,
  interruption: Interruption,
): Promise<void> {
  const folder = given.value("input-dir");
  const parallel = given.count("max-sequences") ?? given.count("parallel") ?? 4;
  const specialTokens = specialTokensOption(given);
  const options = loadOptions(given);
  const isPipe = await isStream(input);
  // A pipe can be read once.
  const total = isPipe ? undefined : await countLines(input);
  const where = modelLocation(given.value("model"));
  const name = given.value("name") ?? servedName(where);
  const abort = new AbortController();
  const signal = AbortSignal.any([abort.signal, interruption.signal]);
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(where, {
    onDeviceLost: "reload",
    signal,
    ...options,
    ...line.loading,
  }).finally(() => line.clear());
  const readMedia = folder === undefined ? {} : { readMedia: filesBelow(folder) };
  const requests = new Batch(
    new ChatCompletions(model, { name, keepSessions: parallel, ...readMedia, ...specialTokens }),
    results.done,
  );
  const counts = { answered: 0, failed: 0, skipped: 0 };
  let failure: { error: unknown } | undefined;
  const progress = (): void => {
    const { answered, failed, skipped } = counts;
    if (total === undefined) line.text(`${answered + failed + skipped} done`);
    else line.items("answered", answered + failed, total - skipped);
  };
  try {
    await results.begin();
    const chunks = isPipe ? streamOf(input, signal) : chunksOf(input);
    const lines = linesOf(chunks, isStandardInput(input) ? "standard input" : input);
    progress();
    const work = async (): Promise<void> => {
      while (!signal.aborted) {
        const next = await lines.next();
        if (next.done) return;
        const result = await requests.run(textOf(next.value), next.value.number, signal);
        if (!result) {
          counts.skipped++;
          continue;
        }
        await results.write(JSON.stringify(result));
        if (result.response?.status_code === 200) counts.answered++;
        else counts.failed++;
        if (result.error?.code === "duplicate_custom_id") note(result.error.message);
        progress();
      }
    };
    await Promise.all(
      Array.from({ length: parallel }, () =>
        work().catch((error: unknown) => {
          if (!signal.aborted) failure = { error };
          abort.abort();
        }),
      ),
    );
  } finally {
    line.clear();
    model.dispose();
  }
  const { answered, failed, skipped } = counts;
  // The number of remaining lines of a pipe is unknown.
  const left = total === undefined ? Number(signal.aborted) : total - answered - failed - skipped;
  const rest = left > 0 ? `, ${total === undefined ? "more" : left} left: run it again to resume` : "";
  process.stderr.write(`${answered} answered, ${failed} failed, ${skipped} done before${rest}\n`);
  if (failure) throw failure.error;
  throwIfAborted(interruption.signal, input);
  if (failed > 0) process.exitCode = 1;
}

/** `-` is standard input in one place and standard output in the other. */
function isSame(input: string, output: string): boolean {
  return input !== "-" && resolve(input) === resolve(output);
}

async function countLines(file: string): Promise<number> {
  let count = 0;
  for await (const _line of linesOf(chunksOf(file), file)) count++;
  return count;
}

/** Opens a pipe, and closes it on the signal, since its writer may block for long. */
function streamOf(input: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (!isStandardInput(input)) return typed(createReadStream(input, { signal }), input);
  return typed(addAbortSignal(signal, takeStandardInput("IN.jsonl")), "standard input");
}

/** Decodes a line, or returns why it cannot be decoded. */
function textOf({ bytes, offsetBytes }: Line): string | OcellusError {
  try {
    return decodeText(bytes, "the line", { offsetBytes });
  } catch (cause) {
    if (cause instanceof OcellusError) return cause;
    throw cause;
  }
}

/** Reads files below one folder; symbolic links that leave it are rejected. */
function filesBelow(folder: string): ReadMedia {
  return async (path, { param }) => {
    try {
      const root = await realpath(folder);
      const file = await realpath(join(root, path));
      const inside = relative(root, file);
      if (inside.startsWith("..") || isAbsolute(inside)) throw new Error("a path out of it");
      const found = await stat(file);
      const { size } = found;
      if (!found.isFile()) throw new Error("a folder, a pipe or a device");
      if (size > MAX_MEDIA_BYTES) throw new Error(`${size} bytes, over ${MAX_MEDIA_BYTES}`);
      return new Uint8Array(await readFile(file));
    } catch (cause) {
      throw new RequestError(param, {
        expected: `a data: URL, or a file below ${folder}`,
        got: `${path.slice(0, 60)} (${causeMessage(cause)})`,
        remedy: "give a path relative to --input-dir",
        cause,
      });
    }
  };
}
