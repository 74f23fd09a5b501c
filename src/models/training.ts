import { OptionError, throwIfAborted } from "../base/errors.js";
import type { CheckpointLocation } from "../io/checkpoint.js";
import type { Arena } from "../runtime/arena.js";
import { addAdapter } from "../training/lora.js";
import { loraDropout } from "../training/lora-dropout.js";
import { parametersOf } from "../training/parameters.js";
import { skipOrThrow } from "../training/record-faults.js";
import { recordLength } from "../training/record-length.js";
import { RecordOrder } from "../training/record-order.js";
import { checkedRecords } from "../training/records.js";
import { SampleFeed } from "../training/sample-feed.js";
import { prepareSample, type Sample, type TrainingRecord } from "../training/samples.js";
import { rateFactor } from "../training/schedule.js";
import type { StepResult } from "../training/step-result.js";
import { TimeLeft } from "../training/time-left.js";
import { Trainer } from "../training/trainer.js";
import type { ModelInternals } from "./chat/model-internals.js";
import type { ConvertedFile } from "./converted-files.js";
import type { WeightsSource } from "./loaded-parts.js";
import { adapterFiles, checkpointFiles } from "./trained-files.js";
import { continuedTargets, partsOf, trainedWeights } from "./trained-weights.js";
import { evaluate } from "./training-evaluation.js";
import { type TrainOptions, type TrainPlan, trainPlan } from "./training-options.js";
import { restoreState, stateFiles } from "./training-state.js";
import type { TrainingStep } from "./training-step.js";

/** What the model brings. */
export interface TrainedModel {
  readonly internals: ModelInternals;
  readonly source: WeightsSource;
  /** Owns a new adapter, as long as the model. */
  readonly arena: Arena;
}

/** Name of a new adapter. */
export const NEW_ADAPTER = "trained";

/** The implementation of `model.train`. */
export async function* trainingSteps(
  model: TrainedModel,
  given: readonly TrainingRecord[],
  options: TrainOptions,
): AsyncGenerator<TrainingStep, void, undefined> {
  if (!Array.isArray(given) || given.length === 0) {
    const remedy = 'pass records such as { messages: [{ role: "user", content }, { role: "assistant", content }] }';
    throw new OptionError({ where: "model.train", expected: "a list of records", got: "none", remedy });
  }
  const { records, faults } = checkedRecords(given);
  const plan = continued(model, trainPlan(options, records.length));
  skipOrThrow(faults, records.length, options.skipBad);
  const { internals, source } = model;
  const { network, processor } = internals;
  network.checkOneDevice("model.train");
  if (network.streams) {
    throw new OptionError({
      where: "model.train",
      expected: "a model whose layers are all on the device",
      got: "one whose layers stream",
      remedy: 'load it with weights "resident", or a smaller checkpoint',
    });
  }
  const { layout } = source.config;
  const name = adapterOf(model, plan);
  const parts = partsOf(plan.targets);
  const order = await orderOf(internals, records, plan);
  const samples = new SampleFeed(records, order, plan.batch, (record) => prepareSample(processor, record, plan));
  if (options.onEstimate) options.onEstimate(await footprintOf(model, plan, await samples.ofStep(1)));
  // As in PEFT, others that are loaded have no part in it; parts of the model are trained with all.
  const adapters = plan.targets.has("lora") ? [name] : undefined;
  const weights = () => trainedWeights(network, layout, plan.targets, name);
  const trainer = new Trainer(network, weights, plan.optimizer, adapters);
  try {
    const run = fingerprint(plan, records.length);
    const timeLeft = new TimeLeft();
    const done = await restoredSteps(trainer, options.resume, run);
    for (let step = done + 1; step <= plan.steps; step++) {
      throwIfAborted(plan.signal, "training");
      const begun = performance.now();
      const batch = await samples.ofStep(step);
      const factor = rateFactor(plan.schedule, step, plan.steps, plan.warmupSteps);
      const result = await trainer.step(batch, (part) => factor * plan.rates[part === "newline" ? "language" : part], {
        signal: plan.signal,
        dropoutOf: (sample) => loraDropout(name, plan.lora.dropout, { seed: plan.seed, step, sample }),
      });
      checkFinite(result, step);
      // What was computed with the weights before the step.
      internals.visionCache.clear();
      internals.prefixCache.forget();
      for (const session of internals.sessions) session.releaseIdle();
      const saved = parametersOf(network, layout).filter(({ part }) =>
        parts.has(part === "newline" ? "language" : (part as "vision")),
      );
      const seconds = (performance.now() - begun) / 1000;
      yield {
        ...result,
        step,
        steps: plan.steps,
        adapter: adapters?.[0],
        rateFactor: factor,
        seconds,
        secondsLeft: timeLeft.after(seconds, plan.steps - step),
        files: () =>
          plan.targets.has("lora")
            ? adapterFiles(network, source, name, saved, plan.lora.dropout)
            : checkpointOf(source, saved),
        state: () => stateFiles(trainer.optimizer, step, run),
        evaluate: (held) => evaluate(internals, held, plan, adapters),
      };
    }
  } finally {
    trainer.dispose();
  }
}

/** The plan, with what an adapter that is trained further brings besides. Throws OptionError. */
function continued({ internals, source }: TrainedModel, plan: TrainPlan): TrainPlan {
  const adapter = internals.network.language.adapters.all.find(({ name }) => name === plan.adapter);
  return adapter ? { ...plan, targets: continuedTargets(adapter, source.config.layout, plan.targets) } : plan;
}

/** The name of the adapter that is trained: a loaded one, or one that is added here. */
function adapterOf({ internals, arena }: TrainedModel, { targets, adapter, lora, seed }: TrainPlan): string {
  if (!targets.has("lora")) return "";
  const { language } = internals.network;
  const { names } = language.adapters;
  if (adapter === undefined) {
    const name = names.includes(NEW_ADAPTER) ? `${NEW_ADAPTER} ${names.length + 1}` : NEW_ADAPTER;
    arena.run(() => addAdapter(language, name, lora, seed));
    return name;
  }
  if (names.includes(adapter)) return adapter;
  throw new OptionError({
    where: "model.train, adapter",
    expected: names.length > 0 ? `a loaded adapter (${names.join(", ")})` : "a loaded adapter",
    got: adapter,
    remedy: "pass it to `load` as `adapter`, without `mergeAdapters`",
  });
}

/** The order of the records. With `groupByLength`, the lengths of all are computed first. */
async function orderOf({ processor }: ModelInternals, records: readonly TrainingRecord[], plan: TrainPlan) {
  const { shuffle, seed, batch, groupByLength, imageMode, signal } = plan;
  const lengths: number[] = [];
  for (const record of groupByLength ? records : []) {
    throwIfAborted(signal, "training");
    lengths.push(await recordLength(processor, record, imageMode));
  }
  return new RecordOrder({ count: records.length, shuffle, seed, batch, lengths: groupByLength ? lengths : undefined });
}

/** The memory of a step on the longest of some samples. */
async function footprintOf({ internals, source }: TrainedModel, plan: TrainPlan, samples: readonly Sample[]) {
  const { trainingFootprint } = await import("./training-footprint.js");
  const longest = samples.reduce((most, sample) => (sample.inputIds.length > most.inputIds.length ? sample : most));
  const index = await source.files.tensors();
  try {
    const described = { name: source.files.name, index, config: source.config };
    return trainingFootprint(described, source.dtype, internals.device.facts, plan, longest);
  } finally {
    await index.close();
  }
}

/** What must be the same when a run is resumed. */
function fingerprint({ signal: _, targets, ...plan }: TrainPlan, records: number): string {
  return JSON.stringify({ ...plan, targets: [...targets].sort(), records });
}

async function restoredSteps(trainer: Trainer, resume: CheckpointLocation | undefined, run: string): Promise<number> {
  return resume === undefined ? 0 : restoreState(trainer.optimizer, resume, run);
}

async function* checkpointOf(
  source: WeightsSource,
  saved: Parameters<typeof checkpointFiles>[2],
): AsyncGenerator<ConvertedFile> {
  const stored = await source.files.tensors();
  const index = source.adapted ? (await source.adapted(stored)).index : stored;
  try {
    yield* checkpointFiles(source, index, saved);
  } finally {
    await index.close();
  }
}

/** Throws OptionError where training has diverged. */
function checkFinite({ loss, gradientNorm }: StepResult, step: number): void {
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
  throw new OptionError({
    where: `model.train, step ${step}`,
    expected: "a finite loss and gradient",
    got: `loss ${loss}, gradient norm ${gradientNorm}`,
    remedy: "lower the learning rate, or begin from the last checkpoint",
  });
}
