import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { OptionError } from "../base/errors.js";
import { savesProjector } from "../models/llava-onevision/adapter.js";
import { LlavaOneVision, type LoadOptions } from "../models/llava-onevision.js";
import type { TrainOptions, TrainTarget } from "../models/training-options.js";
import type { TrainingStep } from "../models/training-step.js";
import { TEMPLATE_OPTION } from "./answer-options.js";
import type { Arguments, Command } from "./command.js";
import { type Interruption, type StopSignal, statusOf } from "./interruption.js";
import { DTYPE_OPTION, HUB_OPTIONS, hubOptions, loadOptions, MODEL_OPTION, modelLocation } from "./model-options.js";
import { NewFolder } from "./new-folder.js";
import { note } from "./note.js";
import { duration, ProgressLine } from "./progress-line.js";
import { RunLog } from "./run-log.js";
import { type DataOptions, readTrainingData } from "./training-data.js";
import type { LogLine } from "./training-report.js";

const TARGETS: readonly TrainTarget[] = ["lora", "projector", "language", "vision", "all"];

/** Fine-tunes a model. */
export const train: Command = {
  name: "train",
  usage: "DATA… --out DIR [options]",
  about: `Fine-tunes a model on conversations whose last message is the answer. DATA is JSON, JSON
lines, Parquet or a YAML mixture of them: { "messages" } or the family's
{ "conversations", "image" }.`,
  options: {
    ...MODEL_OPTION,
    train: { value: "WHAT", help: "lora (an adapter), projector, language, vision, all; or lora,projector" },
    out: { value: "DIR", short: "o", help: "folder for the adapter, or for the checkpoint", path: true },
    steps: { value: "N", help: "number of steps" },
    epochs: { value: "N", help: "passes over the data instead of steps (1)" },
    lr: { value: "X", help: "learning rate, or by part: lora=2e-4,projector=1e-3", offers: ["1e-5", "2e-4", "1e-3"] },
    batch: { value: "N", help: "records of a step (1)" },
    eval: { value: "FILE", help: "held-out records: loss and exact match", path: true },
    dtype: { ...DTYPE_OPTION.dtype!, rare: true },
    rank: { value: "R", help: "rank of the adapter (16)", rare: true },
    adapter: {
      value: "WHERE",
      help: "LoRA adapter to go on from: folder or hub id",
      multiple: true,
      path: true,
    },
    resume: { help: "go on with the run that --out has the state of" },
    json: { help: "print each step as one JSON object" },
    accumulate: { value: "N", help: "batches of a step (1)", rare: true },
    alpha: { value: "A", help: "alpha of the adapter (twice the rank)", rare: true },
    dropout: { value: "P", help: "share of its input that the adapter does not see (0)", rare: true },
    schedule: {
      value: "NAME",
      help: "cosine (with warm-up, to 0) or constant",
      choices: ["cosine", "constant"],
      rare: true,
    },
    warmup: { value: "SHARE", help: "share of the steps in which the rate rises (0.03; constant: 0)", rare: true },
    "weight-decay": { value: "X", help: "weight decay of AdamW (0)", rare: true },
    clip: { value: "X", help: "norm to which gradients are clipped (1); 0 for none", rare: true },
    shuffle: { help: "shuffle the records of each pass", rare: true },
    "group-by-length": { help: "steps of records of similar length, in random order", rare: true },
    seed: { value: "N", help: "seed of order, mixtures, a new adapter and dropout (0)", rare: true },
    "eval-every": { value: "N", help: "evaluate after every N steps, not only at the end", rare: true },
    "save-every": { value: "N", help: "save after every N steps, not only at the end", rare: true },
    labels: {
      value: "NAME",
      help: "supervised tokens: answer, or llava-next as in the family's code",
      choices: ["answer", "llava-next"],
      rare: true,
    },
    ...TEMPLATE_OPTION,
    media: { value: "DIR", help: "folder of pictures and clips, if it is not DATA's", path: true, rare: true },
    "skip-bad": { help: "leave out records that can't be used, and say which", rare: true },
    force: { help: "replace --out if it contains a checkpoint or an adapter", rare: true },
    ...HUB_OPTIONS,
  },
  positionalPaths: true,
  mostPositionals: 100,
  examples: [
    "ocellus train parts.jsonl --model my-model --out parts-lora --epochs 3",
    "ocellus ask --model my-model --adapter parts-lora --image part.jpg 'Which?'",
  ],
  notes: `An adapter is trained over weights of any dtype; whole parts are trained in f32. All
records are read and their files looked for before the first step; the first 20 bad ones
are listed. Ctrl-C ends after the current step and saves; --resume goes on exactly where
the run ended.`,
  run: teach,
};

async function teach(given: Arguments, interruption: Interruption): Promise<void> {
  const out = given.value("out");
  if (given.positionals.length === 0 || out === undefined) {
    throw new OptionError({
      where: given.where,
      expected: "a file of records and --out",
      got: out === undefined ? "no --out" : "no file",
      remedy: "run for example: ocellus train data.jsonl --out adapter",
    });
  }
  const reading: DataOptions = {
    media: given.value("media"),
    skipBad: given.has("skip-bad"),
    seed: given.count("seed", 0) ?? 0,
  };
  const records = await readTrainingData(given.positionals, reading);
  const evalFile = given.value("eval");
  const held = evalFile === undefined ? [] : await readTrainingData([evalFile], reading);
  const targets = targetsOf(given);
  const { adapter, ...loading } = loadOptions(given);
  const adapters = (Array.isArray(adapter) ? adapter : []) as readonly { from: string }[];
  if (adapters.length > 1) {
    throw new OptionError({
      where: `${given.where}, --adapter`,
      expected: "one adapter to go on from",
      got: `${adapters.length}`,
      remedy: "give one, or merge them with `ocellus convert --adapter` first",
    });
  }
  const isLora = targets.includes("lora");
  const goesOn = adapters.length === 1 && isLora;
  // The projector that an adapter brings is trained with it, so it is loaded in f32.
  const { revision: _, ...hub } = hubOptions(given);
  if (goesOn && !targets.includes("projector") && (await savesProjector(adapters[0]!.from, hub))) {
    targets.push("projector");
  }
  const saving = new Saving(resolve(out), given.has("force") || given.has("resume"));
  await saving.check();
  const options: TrainOptions = {
    ...trainOptions(given),
    train: targets,
    ...(goesOn && { adapter: ADAPTER }),
    ...(given.has("resume") && { resume: resolve(out) }),
  };
  const run = new RunLog(`Training into ${out}`, {
    data: given.positionals.join(", "),
    model: given.value("model"),
    ...options,
  });
  if (given.has("resume")) await run.readFrom(resolve(out));
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(modelLocation(given.value("model")), {
    ...loading,
    dtype: trainedDtype(loading.dtype, targets),
    ...(adapters[0] && { adapter: { ...adapters[0], name: ADAPTER }, mergeAdapters: !isLora }),
    ...line.loading,
  }).finally(() => line.clear());
  let stopped: StopSignal | undefined;
  interruption.react((name) => {
    // A second Ctrl-C ends at once.
    if (stopped !== undefined) process.exit(statusOf(name));
    stopped = name;
    line.clear();
    process.stderr.write("ending after this step, and saving\n");
  });
  const [saveEvery, evalEvery] = ["save-every", "eval-every"].map(
    (name) => given.count(name) ?? Number.POSITIVE_INFINITY,
  );
  let last: TrainingStep | undefined;
  try {
    const onEstimate: TrainOptions["onEstimate"] = ({ totalBytes, trained }) => {
      const size = `${(totalBytes / 1e9).toFixed(2)} GB`;
      line.clear();
      if (!given.has("json"))
        note(`Training ${trained.toLocaleString("en")} weights; a step takes about ${size} on the device.`);
    };
    for await (const step of model.train(records, { ...options, onEstimate })) {
      if (!given.has("json") && last && last.secondsLeft === undefined && step.secondsLeft) {
        line.clear();
        note(`A step takes ${step.seconds.toFixed(1)} s; about ${duration(step.secondsLeft)} left.`);
      }
      last = step;
      const isLast = stopped !== undefined || step.step === step.steps;
      show(run.add(step), given.has("json"), step, line);
      if (held.length > 0 && (isLast || step.step % evalEvery! === 0)) {
        const evaluation = await step.evaluate(held);
        line.clear();
        show(run.addEvaluation(step.step, evaluation), given.has("json"));
      }
      if (isLast || step.step % saveEvery! === 0) await saving.save(step, run);
      if (stopped !== undefined) break;
    }
  } finally {
    interruption.react(undefined);
    line.clear();
    model.dispose();
  }
  if (stopped !== undefined) {
    process.stderr.write(`${out}: saved; --resume goes on after step ${last?.step ?? 0}\n`);
    process.exitCode = statusOf(stopped);
    return;
  }
  if (!given.has("json")) {
    process.stdout.write(
      last ? `${out}: loss ${last.loss.toFixed(4)} in the last step\n` : `${out}: the run is complete\n`,
    );
  }
}

/** Name of the adapter that is trained further. */
const ADAPTER = "adapter";

function targetsOf(given: Arguments): TrainTarget[] {
  const names = (given.value("train") ?? "lora").split(",");
  for (const name of names) {
    if ((TARGETS as readonly string[]).includes(name)) continue;
    throw new OptionError({
      where: `${given.where}, --train`,
      expected: TARGETS.join(", "),
      got: name,
      remedy: "give one of these, or several with commas between them",
    });
  }
  return names as TrainTarget[];
}

/** The dtype to load: parts that are trained are f32. */
function trainedDtype(dtype: LoadOptions["dtype"], targets: readonly TrainTarget[]): NonNullable<LoadOptions["dtype"]> {
  const given = typeof dtype === "object" ? dtype : {};
  const other = typeof dtype === "string" ? dtype : "auto";
  const isTrained = (part: TrainTarget): boolean => targets.includes("all") || targets.includes(part);
  return {
    vision: isTrained("vision") ? "f32" : (given.vision ?? other),
    projector: isTrained("projector") ? "f32" : (given.projector ?? other),
    language: isTrained("language") ? "f32" : (given.language ?? other),
    embed: isTrained("language") ? "f32" : (given.embed ?? other),
  };
}

function trainOptions(given: Arguments): TrainOptions {
  const rank = given.count("rank");
  const alpha = given.positive("alpha");
  const dropout = given.number("dropout");
  return {
    steps: given.count("steps"),
    epochs: given.positive("epochs"),
    batch: given.count("batch"),
    accumulate: given.count("accumulate"),
    learningRate: ratesOf(given),
    schedule: given.value("schedule") as TrainOptions["schedule"],
    warmup: given.number("warmup"),
    weightDecay: given.number("weight-decay"),
    clip: given.number("clip"),
    shuffle: given.has("shuffle"),
    groupByLength: given.has("group-by-length"),
    seed: given.count("seed", 0),
    labels: given.value("labels") as TrainOptions["labels"],
    template: given.value("template") as TrainOptions["template"],
    lora: {
      ...(rank !== undefined && { rank }),
      ...(alpha !== undefined && { alpha }),
      ...(dropout !== undefined && { dropout }),
    },
  };
}

/** Reads `--lr 1e-4` or `--lr lora=2e-4,projector=1e-3`; the model checks the names. */
function ratesOf(given: Arguments): TrainOptions["learningRate"] {
  const text = given.value("lr");
  if (text === undefined) return undefined;
  if (!text.includes("=")) return given.number("lr");
  const pairs = text.split(",").map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([part, rate]) => [part, Number(rate || Number.NaN)]));
}

/** Prints a line of the log: as JSON, or the last step on the progress line and evaluations in full. */
function show(entry: LogLine, json: boolean, step?: TrainingStep, line?: ProgressLine): void {
  if (json) process.stdout.write(`${JSON.stringify(entry)}\n`);
  else if (step && line) {
    const pace = (step.tokens / step.seconds).toFixed(0);
    const left = step.secondsLeft === undefined ? "" : `, ${duration(step.secondsLeft)} left`;
    line.text(`loss ${step.loss.toFixed(4)}, ${pace} tokens/s, step ${step.step} of ${step.steps}${left}`);
  } else {
    const { evalLoss = 0, exactMatch = 0 } = entry;
    const share = (100 * exactMatch).toFixed(1);
    process.stdout.write(`step ${entry.step}: held-out loss ${evalLoss.toFixed(4)}, exact match ${share} %\n`);
  }
}

/** The folder of a run: written under another name and renamed, at every save. */
class Saving {
  #replaces: boolean;

  constructor(
    private readonly path: string,
    replaces: boolean,
  ) {
    this.#replaces = replaces;
  }

  /** Throws OptionError, before any work, if the folder may not be written. */
  async check(): Promise<void> {
    const isEmpty = (await readdir(this.path).catch(() => undefined))?.length === 0;
    this.#replaces ||= isEmpty;
    await (await NewFolder.beside(this.path, this.#replaces)).abandon();
  }

  async save(step: TrainingStep, run: RunLog): Promise<void> {
    const folder = await NewFolder.beside(this.path, this.#replaces);
    try {
      for (const files of [step.files(), step.state()]) {
        for await (const { name, chunks } of files) await folder.write(name, chunks, () => {});
      }
      for (const [name, text] of Object.entries(run.files)) await folder.write(name, textChunks(text), () => {});
      await folder.finish();
    } catch (cause) {
      await folder.abandon();
      throw cause;
    }
    this.#replaces = true;
  }
}

async function* textChunks(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}
