import { type AdamW, adamw, NO_CLIP } from "../kernels/adamw.js";
import { pack } from "../kernels/pack.js";
import { PackedMatrix } from "../kernels/packed.js";
import { keepRankBlocks } from "../kernels/rank-blocks.js";
import { addSumSquares } from "../kernels/sum-squares.js";
import type { GradientBlock, Gradients, Parameter } from "../layers/gradients.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import type { TrainedWeight, WeightPart } from "./parameters.js";

/** Moments of AdamW of one buffer. */
interface Moments {
  readonly m: Tensor;
  readonly v: Tensor;
}

/** Settings of the optimiser; the learning rate is given with each step. */
export type OptimizerSettings = Omit<AdamW, "rate" | "clip"> & { readonly clip: number | undefined };

/**
 * AdamW (arXiv 1711.05101) over the trained weights, as `torch.optim.AdamW`: a weight without a gradient in a step stays as it is, and each
 * weight counts its own steps. The moments have the layout of the weights: f32 matrices stay packed.
 */
export class Optimizer {
  readonly #moments = new Map<Tensor, Moments>();
  readonly #steps = new Map<WeightPart, number>();

  /** Allocates the moments as zeros, in the current arena. */
  constructor(
    readonly device: Device,
    private readonly trained: readonly TrainedWeight[],
    private readonly gradients: Gradients,
  ) {
    for (const { parameter } of trained) {
      for (const buffer of buffersOf(parameter)) {
        const zeros = (name: string): Tensor =>
          device.upload(new Float32Array(buffer.length), [buffer.length], `${name} of ${buffer.label}`);
        this.#moments.set(buffer, { m: zeros("first moment"), v: zeros("second moment") });
      }
    }
  }

  /**
   * One step with the gradients; returns their squared norm `[1]`. `rateOf` is the learning rate of each part, undefined for a part that
   * has no gradient in this step.
   */
  step(
    { clip = NO_CLIP, ...settings }: OptimizerSettings,
    rateOf: (part: TrainedWeight["part"]) => number | undefined,
  ): Tensor {
    const { device, gradients } = this;
    const own = this.trained.filter(({ part }) => rateOf(part) !== undefined);
    const squares = device.upload(new Float32Array(1), [1], "squared norm");
    for (const { parameter, scale = 1, rankBlocks } of own) {
      for (const { tensor, first } of gradients.of(parameter)!.blocks) {
        if (rankBlocks) keepRankBlocks(tensor, rankBlocks.partOfRow, rankBlocks.partOfRank, first);
        addSumSquares(tensor, squares, scale ** 2);
      }
    }
    for (const part of new Set(own.map((weight) => weight.part)))
      this.#steps.set(part, (this.#steps.get(part) ?? 0) + 1);
    for (const { parameter, part, scale } of own) {
      const { blocks } = gradients.of(parameter)!;
      for (const [i, buffer] of buffersOf(parameter).entries()) {
        const { m, v } = this.#moments.get(buffer)!;
        device.scope(() => {
          const gradient = parameter instanceof PackedMatrix ? packed(blocks[i]!, parameter) : blocks[i]!.tensor;
          adamw(
            buffer,
            gradient,
            m,
            v,
            squares,
            this.#steps.get(part)!,
            { ...settings, clip, rate: rateOf(part)! },
            scale,
          );
        });
      }
    }
    return squares;
  }

  /** Steps of each part so far. */
  get steps(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#steps);
  }

  /** What a step changes, in order: weights and moments, f32 in their own layout. */
  get buffers(): readonly Tensor[] {
    return [...this.#moments].flatMap(([buffer, { m, v }]) => [buffer, m, v]);
  }

  /** Goes on with the numbers of steps of an earlier run; the caller restores the buffers. */
  continueFrom(steps: Readonly<Record<string, number>>): void {
    for (const [part, count] of Object.entries(steps)) this.#steps.set(part as WeightPart, count);
  }
}

function buffersOf(parameter: Parameter): Tensor[] {
  return parameter instanceof PackedMatrix ? parameter.blocks.map(({ tensor }) => tensor) : [parameter];
}

/** A block of a gradient in the layout of its matrix. */
function packed({ tensor, rows }: GradientBlock, { inner, label }: PackedMatrix): Tensor {
  const matrix = PackedMatrix.allocate(tensor.device, rows, inner, "f32", label);
  pack(tensor, "f32", rows, matrix, 0);
  return matrix.blocks[0]!.tensor;
}
