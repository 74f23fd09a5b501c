import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { addAbortSignal } from "node:stream";
import { OptionError, throwIfAborted } from "../base/errors.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { prepareShared } from "../models/warm-up.js";
import { ChatCompletions } from "../openai/chat-completions.js";
import { QUEUE_NAME } from "../queue/jobs.js";
import { Batch } from "../server/batch.js";
import { SPECIAL_TOKENS_OPTION, specialTokensOption } from "./answer-options.js";
import { BatchCounts } from "./batch-counts.js";
import { answerByQueue, type BatchQueue } from "./batch-queue.js";
import { BatchResults } from "./batch-results.js";
import type { Arguments, Command } from "./command.js";
import { filesBelow } from "./files-below.js";
import { isStandardInput, isStream, takeStandardInput, typed } from "./input-file.js";
import type { Interruption } from "./interruption.js";
import { chunksOf, type Line, linesOf, textOf } from "./lines.js";
import { MAX_SEQUENCES, MODEL_OPTIONS, modelLocation, openOptions, servedName } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { queueOf } from "./queue-options.js";

/** Answers a file of requests. */
export const batch: Command = {
  name: "batch",
  usage: "IN.jsonl -o OUT.jsonl [options]",
  about: `Answers a file of requests in OpenAI's batch format, one per line: { "custom_id",
"method": "POST", "url": "/v1/chat/completions", "body" }. Run it again to resume after
an interruption: requests with a result in OUT.jsonl are skipped. IN.jsonl may be a
pipe or -, OUT.jsonl may be - (without resuming). Exit status 1 if a request failed.`,
  options: {
    output: { value: "FILE", short: "o", help: "output file, one line per result", path: true },
    ...MODEL_OPTIONS,
    name: { value: "NAME", help: "model name in requests (hub id, or folder's name)" },
    "input-dir": {
      value: "DIR",
      help: "allow paths below DIR beside data: URLs",
      path: true,
    },
    "max-sequences": { value: "N", help: `requests answered at once, which share decode steps (${MAX_SEQUENCES})` },
    parallel: { value: "N", help: "former name of --max-sequences", rare: true },
    queue: { value: "URL", help: "workers answer: redis://HOST:PORT (ocellus worker)" },
    "queue-name": { value: "NAME", help: `name of that queue (${QUEUE_NAME})`, rare: true },
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
  const isPipe = await isStream(input);
  // A pipe can be read once.
  const total = isPipe ? undefined : await countLines(input);
  const abort = new AbortController();
  const signal = AbortSignal.any([abort.signal, interruption.signal]);
  const line = new ProgressLine(process.stderr);
  const counts = new BatchCounts(line, total);
  const lines = (): AsyncGenerator<Line> => {
    const chunks = isPipe ? streamOf(input, signal) : chunksOf(input);
    return linesOf(chunks, isStandardInput(input) ? "standard input" : input);
  };
  let failure: { error: unknown } | undefined;
  try {
    if (given.has("queue")) await answerByQueue(batchQueue(given), lines(), results, counts, signal);
    else await answerByModel(given, lines, results, counts, { line, abort, signal });
  } catch (error) {
    // Before the first line there is nothing to sum up.
    if (!results.hasBegun) throw error;
    if (!interruption.signal.aborted) failure = { error };
  } finally {
    line.clear();
  }
  process.stderr.write(counts.summary(signal.aborted));
  if (failure) throw failure.error;
  throwIfAborted(interruption.signal, input);
  if (counts.hasFailed) process.exitCode = 1;
}

interface Run {
  readonly line: ProgressLine;
  /** Ends all lines that run. */
  readonly abort: AbortController;
  readonly signal: AbortSignal;
}

/** Answers the lines with a model in this process. */
async function answerByModel(
  given: Arguments,
  read: () => AsyncGenerator<Line>,
  results: BatchResults,
  counts: BatchCounts,
  { line, abort, signal }: Run,
): Promise<void> {
  const folder = given.value("input-dir");
  const parallel = given.count("max-sequences") ?? given.count("parallel") ?? MAX_SEQUENCES;
  const specialTokens = specialTokensOption(given);
  const options = await openOptions(given);
  const where = modelLocation(given.value("model"));
  const name = given.value("name") ?? servedName(where);
  const model = await LlavaOneVision.load(where, {
    onDeviceLost: "reload",
    signal,
    ...options,
    ...line.loading,
  }).finally(() => line.clear());
  await prepareShared(model.internals, parallel);
  const readMedia = folder === undefined ? {} : { readMedia: filesBelow(folder) };
  const requests = new Batch(
    new ChatCompletions(model, { name, keepSessions: parallel, ...readMedia, ...specialTokens }),
    results.done,
  );
  let failure: { error: unknown } | undefined;
  try {
    await results.begin();
    const lines = read();
    counts.show();
    const work = async (): Promise<void> => {
      while (!signal.aborted) {
        const next = await lines.next();
        if (next.done) return;
        const result = await requests.run(textOf(next.value), next.value.number, signal);
        if (!result) {
          counts.skipped();
          continue;
        }
        await results.write(JSON.stringify(result));
        counts.written(result);
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
    model.dispose();
  }
  if (failure) throw failure.error;
}

/** The options that workers have in place of a batch that goes to a queue. */
const OF_WORKERS = ["model", "dtype", "adapter", "merge", "name", "input-dir", "special-tokens"];
/** The same of the number of requests at once, which workers call `--concurrency`. */
const AT_ONCE = ["parallel", "max-sequences"];

/** Reads `--queue` and `--queue-name`. Throws OptionError for an option that has no effect beside them. */
function batchQueue(given: Arguments): BatchQueue {
  const own = [...OF_WORKERS, ...AT_ONCE].find((name) => given.has(name));
  if (own === undefined) return queueOf(given);
  throw new OptionError({
    where: `${given.where}, --queue`,
    expected: "a batch whose requests workers answer",
    got: `--${own}`,
    remedy: `give --${AT_ONCE.includes(own) ? "concurrency" : own} to \`ocellus worker\``,
  });
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
