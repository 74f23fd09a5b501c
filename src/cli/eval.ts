import { dirname } from "node:path";
import { OcellusError, OptionError, throwIfAborted } from "../base/errors.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { METRICS, type MetricName } from "../scoring/metrics.js";
import { readRecords, type ScoredRecord } from "../scoring/records.js";
import { TEMPLATE_OPTION } from "./answer-options.js";
import { BatchResults } from "./batch-results.js";
import type { Arguments, Command } from "./command.js";
import { pathsBelow, readText } from "./input-file.js";
import type { Interruption } from "./interruption.js";
import { MODEL_OPTIONS, modelLocation, openOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";

/** Scores a model on questions with known answers. */
export const evaluate: Command = {
  name: "eval",
  usage: "DATA --metric NAME [options]",
  about: `Asks the questions of a file and scores the answers. DATA is a JSON array or JSON
lines: { "question", "answer", "image" }, { "messages" } whose last is the right answer, or
the model family's { "conversations", "image" }. Paths are relative to DATA.`,
  options: {
    metric: {
      value: "NAME",
      help: "exact, relaxed (ChartQA), anls (DocVQA), vqa (VQAv2) or choice (a letter)",
      choices: Object.keys(METRICS),
    },
    output: { value: "FILE", short: "o", help: "write each prediction with its score; resumes there", path: true },
    media: { value: "DIR", help: "folder of pictures and clips, if it is not DATA's", path: true },
    limit: { value: "N", help: "the first N records only", rare: true },
    system: { value: "TEXT", help: "system prompt", rare: true },
    suffix: { value: "TEXT", help: "text after each question, such as 'Answer with one word.'" },
    frames: { value: "N", help: "frames sampled from each clip (16)", rare: true },
    "max-new-tokens": { value: "N", help: "maximum tokens of an answer (128)" },
    ...TEMPLATE_OPTION,
    ...MODEL_OPTIONS,
    json: { help: "print the result as one object" },
  },
  positionalPaths: true,
  mostPositionals: 1,
  examples: [
    "ocellus eval chartqa.jsonl --metric relaxed --suffix ' Answer with one word.'",
    "ocellus eval data.json --metric exact -o predictions.jsonl --model my-tune",
  ],
  notes: `Answers are greedy. All records are read before the first is asked. A record that
can't be asked, for example because its picture is damaged, counts as wrong, and its
error is in the predictions; the status is 1 then.`,
  run: score,
};

interface Prediction {
  readonly id: string;
  readonly prediction: string | null;
  readonly answers: readonly string[];
  readonly metric: MetricName;
  readonly score: number;
  readonly error?: string;
}

async function score(given: Arguments, interruption: Interruption): Promise<void> {
  const [data] = given.positionals;
  const metric = given.value("metric") as MetricName | undefined;
  if (data === undefined || metric === undefined) {
    throw new OptionError({
      where: given.where,
      expected: "a file of records and --metric",
      got: data === undefined ? "no file" : "no --metric",
      remedy: "run for example: ocellus eval data.jsonl --metric exact",
    });
  }
  const folder = given.value("media") ?? dirname(data);
  const pathOf = pathsBelow(folder);
  const all = readRecords(await readText(data, "DATA"), data, pathOf);
  const records = all.slice(0, given.count("limit") ?? all.length);
  const output = given.value("output");
  const scores = new Map<string, number>();
  const earlier = (line: string): string | undefined => {
    const found = finished(line, metric);
    if (found) scores.set(found.id, found.score);
    return found?.id;
  };
  const results = output === undefined ? undefined : await BatchResults.claim(output, earlier);
  let failed = 0;
  try {
    failed = await answerAll(records, metric, scores, results, given, interruption);
  } finally {
    await results?.close();
  }
  const own = records.map(({ id }) => scores.get(id)).filter((one) => one !== undefined);
  const mean = own.reduce((sum, one) => sum + one, 0) / own.length;
  const summary = { metric, score: mean, records: own.length, failed };
  if (given.has("json")) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stdout.write(`${metric}: ${(100 * mean).toFixed(1)} % of ${own.length.toLocaleString("en")} records\n`);
  if (failed > 0) {
    process.stderr.write(`${failed} could not be asked and count as wrong\n`);
    process.exitCode = 1;
  }
}

/** Asks the records that have no score yet. Returns the number of those that could not be asked. */
async function answerAll(
  records: readonly ScoredRecord[],
  metric: MetricName,
  scores: Map<string, number>,
  results: BatchResults | undefined,
  given: Arguments,
  interruption: Interruption,
): Promise<number> {
  const { signal } = interruption;
  const suffix = given.value("suffix");
  const frames = given.count("frames");
  const system = given.value("system");
  const template = given.value("template") as "checkpoint" | "onevision" | undefined;
  const options = { signal, maxNewTokens: given.count("max-new-tokens") ?? 128, ...(template && { template }) };
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(modelLocation(given.value("model")), {
    signal,
    ...(await openOptions(given)),
    ...line.loading,
  }).finally(() => line.clear());
  let failed = 0;
  let answered = scores.size;
  try {
    await results?.begin();
    for (const record of records) {
      throwIfAborted(signal, "the evaluation");
      if (scores.has(record.id)) continue;
      const session = model.createSession(system === undefined ? {} : { system });
      let prediction: string | null = null;
      let error: string | undefined;
      try {
        prediction = (await session.generate(asked(record, suffix, frames), options).result).text;
      } catch (cause) {
        // What is wrong with one record; anything else ends the evaluation.
        if (!(cause instanceof OcellusError) || !RECORD_ERRORS.includes(cause.code)) throw cause;
        error = cause.message;
        failed++;
      } finally {
        session.dispose();
      }
      const own = prediction === null ? 0 : METRICS[metric](prediction, record.answers);
      scores.set(record.id, own);
      const result: Prediction = {
        id: record.id,
        prediction,
        answers: record.answers,
        metric,
        score: own,
        ...(error !== undefined && { error }),
      };
      await results?.write(JSON.stringify(result));
      line.items("evaluated", ++answered, records.length);
    }
  } finally {
    line.clear();
    model.dispose();
  }
  return failed;
}

const RECORD_ERRORS: readonly string[] = ["MEDIA", "SOURCE", "PROMPT", "CONTEXT_OVERFLOW", "MISSING_FEATURE"];

/** The messages of a record, with a text after the last question. */
function asked(
  { messages }: ScoredRecord,
  suffix: string | undefined,
  frames: number | undefined,
): ScoredRecord["messages"] {
  return messages.map((message, i) => {
    if (typeof message.content === "string") return message;
    const content = message.content.map((part) =>
      part.type === "video" && frames !== undefined ? { ...part, frames } : part,
    );
    if (suffix === undefined || i < messages.length - 1) return { ...message, content };
    return { ...message, content: [...content, { type: "text" as const, text: suffix }] };
  });
}

/** A prediction of an earlier run that was scored by this metric; those that failed are asked again. */
function finished(line: string, metric: MetricName): Pick<Prediction, "id" | "score"> | undefined {
  try {
    const { id, score, error, metric: own } = JSON.parse(line) as Partial<Prediction>;
    const isDone = typeof id === "string" && typeof score === "number" && error === undefined && own === metric;
    return isDone ? { id, score } : undefined;
  } catch {
    return undefined;
  }
}
