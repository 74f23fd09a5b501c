import { createReadStream, existsSync } from "node:fs";
import { open, readFile, realpath, rename, writeFile } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve } from "node:path";
import { createInterface } from "node:readline";
import { LlavaOneVision } from "../models/llava-onevision/model.js";
import { RequestError } from "../openai/api-error.js";
import { ChatCompletions } from "../openai/chat-completions.js";
import type { ReadMedia } from "../openai/content.js";
import { OptionError, SourceError } from "../runtime/errors.js";
import { Batch, finishedId } from "../server/batch.js";
import { SPECIAL_TOKENS_HELP, SPECIAL_TOKENS_OPTION, specialTokensOption } from "./answer-options.js";
import { parse } from "./arguments.js";
import { tinyCheckpoint } from "./embedded.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";

const HELP = `ocellus batch IN.jsonl -o OUT.jsonl [options]

Answers a file of requests in OpenAI's batch format: { "custom_id", "method": "POST", "url": "/v1/chat/completions", "body" } a line.
Run it again to go on after an interruption: lines that OUT.jsonl has are skipped.

  -o, --output FILE       where the results go, one line each as they come
  --model WHERE           checkpoint folder, hub id (org/name) or URL (the embedded tiny one if not given)
  --name NAME             what the model is called in requests (the hub id, or the folder's name)
  --dtype TYPE            how weights are held: auto, f32, f16, bf16, q8, q4; or by part: vision=q8,language=q4
  --revision NAME, --refresh, --offline   as for \`ocellus ask\`
  --input-dir DIR         pictures and clips may be paths below this folder; without it only data: URLs
  --parallel N            requests that are answered at once (2)
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
  if (input === undefined || output === undefined || more.length > 0 || resolve(input) === resolve(output)) {
    throw new OptionError({
      where: "ocellus batch",
      expected: "one file of requests, and another for the results",
      got: args.join(" ") || "none",
      remedy: "run for example: ocellus batch in.jsonl -o out.jsonl",
    });
  }
  const total = await countLines(input);
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
  const file = await open(output, "a");
  const counts = { answered: 0, failed: 0, skipped: 0 };
  const started = Date.now();
  let failure: { error: unknown } | undefined;
  try {
    let number = 0;
    const lines = createInterface({ input: createReadStream(input), crlfDelay: Number.POSITIVE_INFINITY })[
      Symbol.asyncIterator
    ]();
    const work = async (): Promise<void> => {
      while (!signal.aborted) {
        const next = await lines.next();
        if (next.done) return;
        const at = ++number;
        if (next.value.trim() === "") continue;
        const result = await requests.run(next.value, at, signal);
        if (!result) {
          counts.skipped++;
          continue;
        }
        await file.write(`${JSON.stringify(result)}\n`);
        if (result.response?.status_code === 200) counts.answered++;
        else counts.failed++;
        if (result.error?.code === "duplicate_custom_id") process.stderr.write(`${result.error.message}\n`);
        const written = counts.answered + counts.failed;
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
    await file.close();
    model.dispose();
  }
  const { answered, failed, skipped } = counts;
  const left = total - answered - failed - skipped;
  const rest = left > 0 ? `, ${left} left: run it again to go on` : "";
  process.stderr.write(`${answered} answered, ${failed} failed, ${skipped} done before${rest}\n`);
  if (failure) throw failure.error;
  if (left > 0) process.exitCode = 130;
}

async function countLines(file: string): Promise<number> {
  if (!existsSync(file)) {
    throw new SourceError({ where: file, expected: "a file of requests", got: "none", remedy: "check the path" });
  }
  let count = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) if (line.trim() !== "") count++;
  return count;
}

/** Ids that the output has; lines that will be written again, a torn one among them, are taken out of it. */
async function finished(file: string): Promise<Set<string>> {
  if (!existsSync(file)) return new Set();
  const text = await readFile(file, "utf8");
  const lines = text.split("\n").filter((line) => line !== "");
  const kept = lines.filter((line) => finishedId(line) !== undefined);
  if (kept.length < lines.length || !text.endsWith("\n")) {
    await writeFile(`${file}.part`, kept.map((line) => `${line}\n`).join(""));
    await rename(`${file}.part`, file);
  }
  return new Set(kept.map((line) => finishedId(line)!));
}

/** Reads files of one folder; links out of it lead nowhere. */
function filesBelow(folder: string): ReadMedia {
  return async (path, { param }) => {
    try {
      const root = await realpath(folder);
      const file = await realpath(join(root, path));
      const inside = relative(root, file);
      if (inside.startsWith("..") || isAbsolute(inside)) throw new Error("a path out of it");
      return new Uint8Array(await readFile(file));
    } catch (cause) {
      throw new RequestError(param, {
        expected: `a data: URL, or a file below ${folder}`,
        got: `${path.slice(0, 60)} (${cause instanceof Error ? cause.message : String(cause)})`,
        remedy: "give the path as it is from --input-dir",
        cause,
      });
    }
  };
}
