import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Evaluation, TrainingStep } from "../models/training-step.js";
import { type LogLine, trainingReport } from "./training-report.js";

const LOG = "training_log.jsonl";
const REPORT = "training_report.html";
/** Answers that the page shows. */
const SHOWN_ANSWERS = 20;

/** The log of a training run, which is saved beside its weights as JSON lines and as a page. */
export class RunLog {
  readonly #lines: LogLine[] = [];
  #answers: Evaluation["answers"] = [];

  constructor(
    private readonly title: string,
    private readonly options: Readonly<Record<string, unknown>>,
  ) {}

  /** Reads the lines of the run that is resumed. */
  async readFrom(folder: string): Promise<void> {
    const text = await readFile(join(folder, LOG), "utf8").catch(() => "");
    for (const one of text.split("\n")) if (one !== "") this.#lines.push(JSON.parse(one) as LogLine);
  }

  /** Adds a step; returns its line with the time that is left, which the log doesn't keep. */
  add(done: TrainingStep): LogLine {
    const { step, loss, gradientNorm, rateFactor, supervised, tokens, seconds, secondsLeft } = done;
    const entry = { step, loss, gradientNorm, rateFactor, supervised, tokens, seconds };
    this.#lines.push(entry);
    return { ...entry, ...(secondsLeft !== undefined && { secondsLeft }) };
  }

  addEvaluation(step: number, { loss, exactMatch, answers }: Evaluation): LogLine {
    const entry = { step, evalLoss: loss, exactMatch };
    this.#lines.push(entry);
    this.#answers = answers.slice(0, SHOWN_ANSWERS);
    return entry;
  }

  /** The files that are saved. */
  get files(): Readonly<Record<string, string>> {
    const lines = this.#lines.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    return { [LOG]: lines, [REPORT]: trainingReport(this.title, this.options, this.#lines, this.#answers) };
  }
}
