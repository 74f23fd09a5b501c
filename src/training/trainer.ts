import { throwIfAborted } from "../base/errors.js";
import { Gradients } from "../layers/gradients.js";
import type { AdapterDropout } from "../layers/low-rank.js";
import type { Network } from "../models/llava-onevision/network.js";
import type { Arena } from "../runtime/arena.js";
import { Optimizer, type OptimizerSettings } from "./optimizer.js";
import type { TrainedWeight } from "./parameters.js";
import { sampleStep } from "./sample-step.js";
import type { Sample } from "./samples.js";
import type { StepResult } from "./step-result.js";

/** How samples pass through the network. */
export interface PassOptions {
  readonly signal?: AbortSignal | undefined;
  /** Dropout of what the adapter sees of each sample of the step. */
  readonly dropoutOf?: ((sample: number) => AdapterDropout | undefined) | undefined;
}

/** Steps of training on a network: gradients, moments, and the weights in place. */
export class Trainer {
  readonly #arena: Arena;
  readonly gradients: Gradients;
  readonly #parts: ReadonlySet<TrainedWeight["part"]>;
  readonly optimizer: Optimizer;

  /** `weightsOf` returns the weights to train; what it allocates is freed with the trainer. */
  constructor(
    readonly network: Network,
    weightsOf: () => readonly TrainedWeight[],
    private readonly settings: OptimizerSettings,
    /** Those that the network is computed with; all if not given. */
    private readonly adapters?: readonly string[],
  ) {
    const { device } = network;
    this.#arena = device.arena("training");
    try {
      const made = this.#arena.run(() => {
        const trained = weightsOf();
        const gradients = new Gradients(
          device,
          trained.map(({ parameter }) => parameter),
        );
        return { gradients, optimizer: new Optimizer(device, trained, gradients), trained };
      });
      this.gradients = made.gradients;
      this.optimizer = made.optimizer;
      this.#parts = new Set(made.trained.map(({ part }) => part));
    } catch (cause) {
      this.#arena.dispose();
      throw cause;
    }
  }

  /** One step on samples that count together: the loss is the mean over all supervised tokens. `rateOf`: the learning rate of each part. */
  async step(
    samples: readonly Sample[],
    rateOf: (part: TrainedWeight["part"]) => number,
    passes: PassOptions = {},
  ): Promise<StepResult> {
    const { network } = this;
    const losses = await this.gradientsOf(samples, passes);
    const loss = losses.reduce((sum, one) => sum + one, 0) / losses.length;
    const hasMedia = samples.some(({ media }) => media.length > 0);
    const arena = network.device.arena("optimizer");
    try {
      const squares = arena.run(() =>
        this.optimizer.step(this.settings, (part) =>
          hasMedia || part === "language" || part === "lora" ? rateOf(part) : undefined,
        ),
      );
      const [squaredNorm] = await squares.read();
      const tokens = samples.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
      return { loss, gradientNorm: Math.sqrt(squaredNorm!), supervised: losses.length, tokens };
    } finally {
      arena.dispose();
    }
  }

  /** Computes the gradients of the mean loss; returns the loss of each supervised token, in order. */
  async gradientsOf(samples: readonly Sample[], { signal, dropoutOf }: PassOptions = {}): Promise<number[]> {
    const supervised = samples.reduce((sum, { supervision }) => sum + supervision.ids.length, 0);
    this.gradients.clear();
    const losses: number[] = [];
    for (const [i, sample] of samples.entries()) {
      throwIfAborted(signal, "training");
      losses.push(...(await this.#pass(sample, 1 / supervised, dropoutOf?.(i))));
    }
    return losses;
  }

  /** Adds the gradients of a sample; returns its losses. */
  async #pass(
    { supervision, ...prompt }: Sample,
    scale: number,
    dropout: AdapterDropout | undefined,
  ): Promise<Float32Array> {
    const { network, gradients, adapters } = this;
    const { device } = network;
    const arena = device.arena("training step");
    try {
      const sees = {
        vision: this.#parts.has("vision"),
        projector: this.#parts.has("projector"),
        newline: this.#parts.has("newline"),
      };
      const losses = arena.run(() =>
        sampleStep(network, { ...prompt, adapters }, supervision, scale, gradients, sees, dropout),
      );
      return await losses.read();
    } finally {
      arena.dispose();
    }
  }

  dispose(): void {
    this.#arena.dispose();
  }
}
