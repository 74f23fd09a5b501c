import { Gradients, type Parameter } from "../layers/gradients.js";
import { WeightLoader } from "../layers/weights.js";
import { Device } from "../runtime/device.js";
import { type DryRunFacts, DryRunGPU } from "../runtime/dry-run-gpu.js";
import { addAdapter } from "../training/lora.js";
import { loraDropout } from "../training/lora-dropout.js";
import { Optimizer } from "../training/optimizer.js";
import { sampleStep } from "../training/sample-step.js";
import type { Sample } from "../training/samples.js";
import type { DtypeByPart } from "./llava-onevision/dtype-by-part.js";
import { Network } from "./llava-onevision/network.js";
import type { Described } from "./sizing/footprint.js";
import { trainedWeights } from "./trained-weights.js";
import type { TrainingFootprint, TrainPlan } from "./training-options.js";

/** Measures the memory of a step on one record by a dry run of the real code on a mock GPU. Throws what loading throws; LimitError. */
export function trainingFootprint(
  { name, index, config }: Described,
  dtype: DtypeByPart,
  facts: DryRunFacts,
  plan: Pick<TrainPlan, "targets" | "lora" | "seed" | "optimizer">,
  { supervision, ...prompt }: Sample,
): TrainingFootprint {
  const counter = new DryRunGPU(facts);
  const device = Device.from(counter.gpu);
  const loader = new WeightLoader(device, index);
  const arena = device.arena("model");
  const network = arena.run(() => new Network(loader.root(), config, dtype, device.empty([3, 256], "f32", "levels")));
  loader.check(name, (tensor) => config.layout.ignored(tensor));
  const weightsBytes = counter.heldBytes;
  const { gradients, optimizer, trained } = arena.run(() => {
    if (plan.targets.has("lora")) addAdapter(network.language, "trained", plan.lora, plan.seed);
    const trained = trainedWeights(network, config.layout, plan.targets, "trained");
    const parameters = trained.map(({ parameter }) => parameter);
    const gradients = new Gradients(device, parameters);
    return { gradients, optimizer: new Optimizer(device, trained, gradients), trained };
  });
  const trainedBytes = counter.heldBytes - weightsBytes;
  const sees = {
    vision: plan.targets.has("vision"),
    projector: plan.targets.has("projector"),
    newline: plan.targets.has("language"),
  };
  const step = device.arena("step");
  const dropout = loraDropout("trained", plan.lora.dropout, { seed: plan.seed, step: 1, sample: 0 });
  step.run(() => void sampleStep(network, prompt, supervision, 1, gradients, sees, dropout));
  step.dispose();
  const update = device.arena("optimizer");
  update.run(() => void optimizer.step(plan.optimizer, () => 1));
  update.dispose();
  const totalBytes = counter.peakBytes;
  return {
    weightsBytes,
    trainedBytes,
    activationBytes: totalBytes - weightsBytes - trainedBytes,
    totalBytes,
    trained: trained.reduce((sum, { parameter }) => sum + elements(parameter), 0),
  };
}

function elements(parameter: Parameter): number {
  return "blocks" in parameter ? parameter.columns * parameter.inner : parameter.length;
}
