import { type AdamW, adamw } from "../kernels/adamw.js";
import { pack } from "../kernels/pack.js";
import { PackedMatrix } from "../kernels/packed.js";
import { addSumSquares } from "../kernels/sum-squares.js";
import type { Gradients, Parameter } from "../layers/gradients.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** Moments of AdamW of one buffer. */
interface Moments {
  readonly m: Tensor;
  readonly v: Tensor;
}

/** AdamW over the trained weights, whose moments it has in their own layout: f32 matrices stay packed. */
export class Optimizer {
  readonly #moments = new Map<Tensor, Moments>();
  #step = 0;

  /** Allocates the moments as zeros, in the current arena. */
  constructor(
    readonly device: Device,
    private readonly trained: readonly Parameter[],
    private readonly gradients: Gradients,
  ) {
    for (const parameter of trained) {
      for (const buffer of buffersOf(parameter)) {
        const zeros = (name: string): Tensor =>
          device.upload(new Float32Array(buffer.length), [buffer.length], `${name} of ${buffer.label}`);
        this.#moments.set(buffer, { m: zeros("first moment"), v: zeros("second moment") });
      }
    }
  }

  /** One step with the gradients; returns their squared norm `[1]`. `rateOf` gives the learning rate of each weight. */
  step(settings: Omit<AdamW, "rate">, rateOf: (parameter: Parameter) => number): Tensor {
    const { device } = this;
    this.#step++;
    const squares = device.upload(new Float32Array(1), [1], "squared norm");
    for (const parameter of this.trained) addSumSquares(this.gradients.of(parameter)!, squares);
    for (const parameter of this.trained) {
      const rate = rateOf(parameter);
      const gradient = this.gradients.of(parameter)!;
      device.scope(() => {
        const packed = parameter instanceof PackedMatrix ? packedLike(parameter, gradient) : [gradient];
        for (const [i, buffer] of buffersOf(parameter).entries()) {
          const { m, v } = this.#moments.get(buffer)!;
          adamw(buffer, packed[i]!, m, v, squares, this.#step, { ...settings, rate });
        }
      });
    }
    return squares;
  }
}

function buffersOf(parameter: Parameter): Tensor[] {
  return parameter instanceof PackedMatrix ? parameter.blocks.map(({ tensor }) => tensor) : [parameter];
}

/** The gradient in the layout of its matrix. */
function packedLike(matrix: PackedMatrix, gradient: Tensor): Tensor[] {
  const packed = PackedMatrix.allocate(gradient.device, matrix.columns, matrix.inner, "f32", gradient.label);
  pack(gradient, "f32", matrix.columns, packed, 0);
  return packed.blocks.map(({ tensor }) => tensor);
}
