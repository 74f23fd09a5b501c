import { createReadStream } from "node:fs";
import { open, readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve } from "node:path";
import { addAbortSignal } from "node:stream";
import { OcellusError, OptionError, SourceError } from "../base/errors.js";
import { MAX_MEDIA_BYTES } from "../io/source.js";
import { decodeText } from "../io/text.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { RequestError } from "../openai/api-error.js";
import { ChatCompletions } from "../openai/chat-completions.js";
import type { ReadMedia } from "../openai/content.js";
import { Batch, finishedId } from "../server/batch.js";
import { SPECIAL_TOKENS_HELP, SPECIAL_TOKENS_OPTION, specialTokensOption } from "./answer-options.js";
import { parse } from "./arguments.js";
import { isStandardInput, isStream, takeStandardInput, typed } from "./input-file.js";
import { chunksOf, type Line, linesOf } from "./lines.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { tinyCheckpoint } from "./tiny-checkpoint.js";

const HELP = `ocellus batch IN.jsonl -o OUT.jsonl [options]

Answers a file of requests in OpenAI's batch format: { "custom_id", "method": "POST", "url": "/v1/chat/completions", "body" } per line.
To resume after an interruption, run it again: requests with a result in OUT.jsonl are skipped. IN.jsonl is UTF-8, a file or a
pipe, or - for standard input; OUT.jsonl may be - for standard output, without resuming.

  -o, --output FILE       output file, one line per result
  --model WHERE           checkpoint folder, hub id (org/name) or URL (the embedded tiny one if not given)
  --name NAME             model name in requests (the hub id, or the folder's name)
  --dtype TYPE            storage dtype of weights: auto, f32, f16, bf16, q8, q4; or by part: vision=q8,language=q4
  --revision NAME, --refresh, --offline   as for \`ocellus ask\`
  --input-dir DIR         allow paths below this folder for pictures and clips; without it only data: URLs
  --parallel N            requests processed concurrently (2)
${SPECIAL_TOKENS_HELP}
  --debug                 stack traces
`;

const OPTIONS = {
  output: { type: "string", short: "o" },
  model: { type: "string" },
  name: { type: "string" },
  dtype: { type: "string" },
  revision: { type: "string" },
  refresh: { type: "boolean" },
  offline: { type: "boolean" },
  "input-dir": { type: "string" },
  parallel: { type: "string" },
  ...SPECIAL_TOKENS_OPTION,
  help: { type: "boolean", short: "h" },
} as const;

/** Answers a file of requests. */
export async function batch(args: string[]): Promise<void> {
  const given = parse("batch", args, OPTIONS);
  if (given.has("help")) {
    process.stdout.write(HELP);
    return;
  }
  const [input, ...more] = given.positionals;
  const output = given.value("output");
  if (input === undefined || output === undefined || more.length > 0 || isSame(input, output)) {
    throw new OptionError({
      where: "ocellus batch",
      expected: "one file of requests, and another for the results",
      got: args.join(" ") || "none",
      remedy: "run for example: ocellus batch in.jsonl -o out.jsonl",
    });
  }
  const isPipe = await isStream(input);
  // A pipe can be read once.
  const total = isPipe ? undefined : await countLines(input);
  const done = await finished(output);
  const where = given.value("model") ?? tinyCheckpoint();
  const name = given.value("name") ?? (/^[\w.-]+\/[\w.-]+$/.test(where) ? where : basename(where.replace(/\/+$/, "")));
  const folder = given.value("input-dir");
  const parallel = given.count("parallel") ?? 2;
  const specialTokens = specialTokensOption(given, "batch");
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort());
  const { signal } = abort;
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(where, { signal, ...dtypeOption(given), ...hubOptions(given) });
  const readMedia = folder === undefined ? {} : { readMedia: filesBelow(folder) };
  const requests = new Batch(
    new ChatCompletions(model, { name, keepSessions: parallel, ...readMedia, ...specialTokens }),
    done,
  );
  const results = await Results.open(output);
  const counts = { answered: 0, failed: 0, skipped: 0 };
  const started = Date.now();
  let failure: { error: unknown } | undefined;
  try {
    const chunks = isPipe ? streamOf(input, signal) : chunksOf(input);
    const lines = linesOf(chunks, isStandardInput(input) ? "standard input" : input);
    const work = async (): Promise<void> => {
      while (!signal.aborted) {
        const next = await lines.next();
        if (next.done) return;
        const result = await requests.run(textOf(next.value), next.value.number, signal);
        if (!result) {
          counts.skipped++;
          continue;
        }
        await results.write(`${JSON.stringify(result)}\n`);
        if (result.response?.status_code === 200) counts.answered++;
        else counts.failed++;
        if (result.error?.code === "duplicate_custom_id") process.stderr.write(`${result.error.message}\n`);
        const written = counts.answered + counts.failed;
        if (total === undefined) {
          line.text(`${written + counts.skipped} done`);
          continue;
        }
        const left = Math.ceil((((Date.now() - started) / written) * (total - written - counts.skipped)) / 1000);
        line.text(`${written + counts.skipped} of ${total}, ${left} s left`);
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
    await results.close();
    model.dispose();
  }
  const { answered, failed, skipped } = counts;
  // The number of remaining lines of a pipe is unknown.
  const left = total === undefined ? Number(signal.aborted) : total - answered - failed - skipped;
  const rest = left > 0 ? `, ${total === undefined ? "more" : left} left: run it again to resume` : "";
  process.stderr.write(`${answered} answered, ${failed} failed, ${skipped} done before${rest}\n`);
  if (failure) throw failure.error;
  if (left > 0) process.exitCode = 130;
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

/** The output file. */
class Results {
  private constructor(
    readonly write: (text: string) => Promise<unknown>,
    readonly close: () => Promise<void>,
  ) {}

  /** Opens the output. Throws SourceError if it cannot be written. */
  static async open(path: string): Promise<Results> {
    if (isStandardOutput(path)) {
      const write = (text: string) => new Promise<void>((written) => process.stdout.write(text, () => written()));
      return new Results(write, async () => {});
    }
    try {
      const file = await open(path, "a");
      return new Results(
        (text) => file.write(text),
        () => file.close(),
      );
    } catch (cause) {
      throw new SourceError({
        where: path,
        expected: "a file that can be written",
        got: cause instanceof Error ? cause.message : String(cause),
        remedy: "check the folder and its permissions",
        cause,
      });
    }
  }
}

/** Paths of standard output, which cannot be opened by name if it is a socket. */
function isStandardOutput(path: string): boolean {
  return ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].includes(path);
}

/**
 * Returns the ids of finished requests in the output, and removes the lines that will be rewritten, such as a truncated last one.
 * Throws SourceError for an output that is not UTF-8, without changing it.
 */
async function finished(file: string): Promise<Set<string>> {
  const found = isStandardOutput(file) ? undefined : await stat(file).catch(() => undefined);
  // Reading a pipe would block.
  if (!found?.isFile()) return new Set();
  const bytes = await readFile(file);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = decodeText(bytes.subarray(0, end), file)
    .split(/\r?\n/)
    .filter((line) => line !== "");
  // The last line may be complete except for its line feed.
  const tail = bytes.subarray(end).toString("utf8");
  if (tail !== "") lines.push(tail);
  const kept = lines.filter((line) => finishedId(line) !== undefined);
  if (kept.length < lines.length || tail !== "") {
    await writeFile(`${file}.part`, kept.map((line) => `${line}\n`).join(""));
    await rename(`${file}.part`, file);
  }
  return new Set(kept.map((line) => finishedId(line)!));
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
        got: `${path.slice(0, 60)} (${cause instanceof Error ? cause.message : String(cause)})`,
        remedy: "give a path relative to --input-dir",
        cause,
      });
    }
  };
}
