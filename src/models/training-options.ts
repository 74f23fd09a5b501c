import { OptionError, shown } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { CheckpointLocation } from "../io/checkpoint.js";
import { LORA_MODULES, type LoraModule } from "../training/lora.js";
import type { TrainedPart } from "../training/parameters.js";
import type { SkipBad } from "../training/record-faults.js";
import type { SampleOptions } from "../training/samples.js";
import type { Schedule } from "../training/schedule.js";

/** What is trained: an adapter of the decoder's layers, a part of the model, or "all" parts. */
export type TrainTarget = "lora" | TrainedPart | "all";

/** Memory of training on the adapter. */
export interface TrainingFootprint {
  readonly weightsBytes: number;
  /** Gradients and moments, and a new adapter. */
  readonly trainedBytes: number;
  /** Peak of all other memory in a step on the record. */
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** Number of weights that are trained. */
  readonly trained: number;
}

/** Options of {@link LlavaOneVision.train}. */
export interface TrainOptions extends SampleOptions {
  /** What is trained ("lora"); several are a list, of which each may have its own learning rate. Weights of parts that are trained must be f32. */
  train?: TrainTarget | readonly TrainTarget[] | undefined;
  /** Number of steps; the whole data once if neither this nor `epochs` is given. */
  steps?: number | undefined;
  /** Passes over the data, instead of `steps`. */
  epochs?: number | undefined;
  /** Records of a step (1): the loss is the mean over all their supervised tokens. */
  batch?: number | undefined;
  /** Factor of `batch` (1): gradients of as many batches are added up before a step. */
  accumulate?: number | undefined;
  /** Learning rate, for all or by what is trained. If not given: LoRA 2e-4, projector 1e-3, language 1e-5, vision 2e-6. */
  learningRate?: number | Partial<Record<"lora" | TrainedPart, number>> | undefined;
  /** "cosine" (if not given) or "constant". */
  schedule?: Schedule | undefined;
  /** Share of the steps in which the learning rate rises to its value (0.03 with "cosine", else 0). */
  warmup?: number | undefined;
  /** Decoupled weight decay of all trained weights (0). */
  weightDecay?: number | undefined;
  /** Norm to which all gradients together are clipped (1); 0 for no clipping. */
  clip?: number | undefined;
  /** β₁ and β₂ of AdamW (0.9 and 0.999). */
  betas?: readonly [number, number] | undefined;
  /** ε of AdamW (1e-8). */
  epsilon?: number | undefined;
  /**
   * Size of the new adapter: rank (16), alpha (twice the rank), and modules (all linear layers of the decoder); and of any adapter dropout
   * (0), the share of each layer's input that it does not see in a step.
   */
  lora?: { rank?: number; alpha?: number; modules?: readonly LoraModule[]; dropout?: number } | undefined;
  /** Name of a loaded adapter that is trained further, instead of a new one; with the projector if the adapter brings it whole. */
  adapter?: string | undefined;
  /** Whether the records of each pass are shuffled (false: in the order of the data). */
  shuffle?: boolean | undefined;
  /**
   * Whether the records of a step have similar lengths (false): a random order, in which records are sorted within groups of up to 50 steps,
   * as `group_by_length` of transformers. Before the first step all records are tokenized, and the headers of their pictures are read.
   */
  groupByLength?: boolean | undefined;
  /** Seed of the order, of a new adapter and of dropout (0): the same seed gives the same losses on the same adapter. */
  seed?: number | undefined;
  /**
   * Leaves out records that can't be used, such as those without an answer, and receives one error for each, before the first step. If not
   * given, they are an error.
   */
  skipBad?: SkipBad | undefined;
  /** Folder or files with the state of an earlier run with the same data and options, which goes on as if it had not ended. */
  resume?: CheckpointLocation | undefined;
  /** Receives the memory that a step on the first record takes (the longest of the first step), before the first step. */
  onEstimate?: ((footprint: TrainingFootprint) => void) | undefined;
}

/** The options with their defaults. */
export interface TrainPlan extends SampleOptions {
  readonly targets: ReadonlySet<"lora" | TrainedPart>;
  readonly steps: number;
  /** Records of a step. */
  readonly batch: number;
  readonly rates: Readonly<Record<"lora" | TrainedPart, number>>;
  readonly schedule: Schedule;
  readonly warmupSteps: number;
  readonly optimizer: {
    readonly betas: readonly [number, number];
    readonly epsilon: number;
    readonly decay: number;
    readonly clip: number | undefined;
  };
  readonly lora: {
    readonly rank: number;
    readonly alpha: number;
    readonly modules: readonly LoraModule[];
    readonly dropout: number;
  };
  readonly adapter: string | undefined;
  readonly shuffle: boolean;
  readonly groupByLength: boolean;
  readonly seed: number;
}

const WHERE = "model.train";
const KNOWN = [
  "train",
  "steps",
  "epochs",
  "batch",
  "accumulate",
  "learningRate",
  "schedule",
  "warmup",
  "weightDecay",
  "clip",
  "betas",
  "epsilon",
  "lora",
  "adapter",
  "shuffle",
  "groupByLength",
  "seed",
  "skipBad",
  "resume",
  "onEstimate",
  "template",
  "imageMode",
  "labels",
  "signal",
] as const satisfies readonly (keyof TrainOptions)[];
const PARTS: readonly TrainedPart[] = ["vision", "projector", "language"];
/** The family's recipe for whole parts, and PEFT's usual rate for adapters. */
const RATES = { lora: 2e-4, projector: 1e-3, language: 1e-5, vision: 2e-6 } as const;
const WARM_UP = 0.03;

/** Checks the options for `records` records. Throws OptionError. */
export function trainPlan(options: TrainOptions, records: number): TrainPlan {
  checkOptions(WHERE, options, KNOWN);
  const { schedule = "cosine", labels = "answer", template, imageMode, signal, adapter } = options;
  const { shuffle = false, groupByLength = false } = options;
  const targets = targetsOf(options.train ?? "lora");
  if (options.skipBad !== undefined && typeof options.skipBad !== "function") {
    throw fault("skipBad", "a function that receives the errors", shown(options.skipBad), "for example console.warn");
  }
  oneOf("schedule", schedule, ["cosine", "constant"]);
  oneOf("labels", labels, ["answer", "llava-next"]);
  if (template !== undefined) oneOf("template", template, ["checkpoint", "onevision"]);
  const batch = whole("batch", options.batch, 1) * whole("accumulate", options.accumulate, 1);
  if (options.steps !== undefined && options.epochs !== undefined) {
    throw fault("epochs", "either steps or epochs", "both", "leave one out");
  }
  const epochs = number("epochs", options.epochs, 1, (value) => value > 0, "a number above 0");
  const steps = whole("steps", options.steps, Math.max(1, Math.ceil((epochs * records) / batch)));
  const atLeastZero = (name: keyof TrainOptions, value: number | undefined, otherwise: number): number =>
    number(name, value, otherwise, (given) => given >= 0, "a number, 0 or above");
  const warmup = atLeastZero("warmup", options.warmup, schedule === "cosine" ? WARM_UP : 0);
  if (warmup > 1) throw fault("warmup", "a share of the steps, from 0 to 1", shown(warmup), "for example 0.03");
  const clip = atLeastZero("clip", options.clip, 1);
  const betas = options.betas ?? ([0.9, 0.999] as const);
  if (!Array.isArray(betas) || betas.length !== 2 || betas.some((beta) => !(beta >= 0 && beta < 1))) {
    throw fault("betas", "two numbers from 0 to below 1", shown(betas), "leave it out for 0.9 and 0.999");
  }
  checkOptions(`${WHERE}, lora`, options.lora ?? {}, ["rank", "alpha", "modules", "dropout"]);
  const rank = whole("lora.rank", options.lora?.rank, 16);
  const modules = options.lora?.modules ?? LORA_MODULES;
  if (!Array.isArray(modules) || modules.length === 0 || modules.some((name) => !LORA_MODULES.includes(name))) {
    throw fault("lora.modules", `names among ${LORA_MODULES.join(", ")}`, shown(modules), "leave it out for all");
  }
  if (adapter !== undefined && !targets.has("lora")) {
    throw fault(
      "adapter",
      'an adapter only with train "lora"',
      shown(adapter),
      "leave it out, or merge it when loading",
    );
  }
  const seed = options.seed ?? 0;
  if (!Number.isInteger(seed) || seed < 0) throw fault("seed", "an integer, 0 or above", shown(seed), "for example 1");
  return {
    targets,
    steps,
    batch,
    rates: ratesOf(options.learningRate),
    schedule,
    warmupSteps: Math.ceil(warmup * steps),
    optimizer: {
      betas: betas as readonly [number, number],
      epsilon: number("epsilon", options.epsilon, 1e-8, (value) => value > 0, "a number above 0"),
      decay: atLeastZero("weightDecay", options.weightDecay, 0),
      clip: clip === 0 ? undefined : clip,
    },
    lora: {
      rank,
      alpha: number("lora.alpha", options.lora?.alpha, 2 * rank, (value) => value > 0, "a number above 0"),
      modules,
      dropout: number(
        "lora.dropout",
        options.lora?.dropout,
        0,
        (value) => value >= 0 && value < 1,
        "from 0 to below 1",
      ),
    },
    adapter,
    shuffle,
    groupByLength,
    seed,
    labels,
    template,
    imageMode,
    signal,
  };
}

function targetsOf(given: TrainTarget | readonly TrainTarget[]): ReadonlySet<"lora" | TrainedPart> {
  const list = (Array.isArray(given) ? given : [given]) as readonly TrainTarget[];
  for (const one of list) oneOf("train", one, ["lora", ...PARTS, "all"]);
  if (list.length === 0) throw fault("train", "something to train", "an empty list", 'for example "lora"');
  const targets = new Set(list.flatMap((one): readonly ("lora" | TrainedPart)[] => (one === "all" ? PARTS : [one])));
  if (targets.has("lora") && (targets.has("language") || targets.has("vision"))) {
    throw fault(
      "train",
      "an adapter alone, or with the projector",
      list.join(", "),
      'leave "lora" out, or the other part',
    );
  }
  return targets;
}

function ratesOf(given: TrainOptions["learningRate"]): TrainPlan["rates"] {
  const isRate = (value: unknown): boolean => typeof value === "number" && value >= 0 && Number.isFinite(value);
  if (typeof given !== "object") {
    if (given === undefined) return RATES;
    if (!isRate(given)) throw fault("learningRate", "a number, 0 or above", shown(given), "for example 1e-4");
    return { lora: given, projector: given, language: given, vision: given };
  }
  checkOptions(`${WHERE}, learningRate`, given, Object.keys(RATES));
  for (const [part, value] of Object.entries(given)) {
    if (!isRate(value)) throw fault(`learningRate.${part}`, "a number, 0 or above", shown(value), "for example 1e-4");
  }
  return { ...RATES, ...given };
}

function oneOf(name: string, value: string, known: readonly string[]): void {
  if (!known.includes(value)) throw fault(name, known.join(", "), shown(value), "give one of these");
}

function whole(name: string, value: number | undefined, otherwise: number): number {
  return number(name, value, otherwise, (given) => Number.isInteger(given) && given >= 1, "an integer of at least 1");
}

function number(
  name: string,
  value: number | undefined,
  otherwise: number,
  isRight: (value: number) => boolean,
  expected: string,
): number {
  if (value === undefined) return otherwise;
  if (typeof value === "number" && Number.isFinite(value) && isRight(value)) return value;
  throw fault(name, expected, shown(value), `leave it out for ${otherwise}`);
}

function fault(name: string, expected: string, got: string, remedy: string): OptionError {
  return new OptionError({ where: `${WHERE}, ${name}`, expected, got, remedy });
}
