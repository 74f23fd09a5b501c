import { PackedMatrix } from "../kernels/packed.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** A weight that can be trained: a matrix, or a vector. */
export type Parameter = PackedMatrix | Tensor;

/** The gradients of the weights that are trained, f32 and row-major; other weights have none. */
export class Gradients {
  readonly #tensors = new Map<Parameter, Tensor>();

  /** Allocates the gradients as zeros, in the current arena. */
  constructor(
    readonly device: Device,
    trained: Iterable<Parameter>,
  ) {
    for (const parameter of trained) {
      const shape = parameter instanceof PackedMatrix ? [parameter.columns, parameter.inner] : parameter.shape;
      const count = shape.reduce((a, b) => a * b, 1);
      this.#tensors.set(parameter, device.upload(new Float32Array(count), shape, `gradient of ${parameter.label}`));
    }
  }

  /** Returns the gradient of a weight: of a matrix `[columns, inner]`; undefined if it is not trained. */
  of(parameter: Parameter): Tensor | undefined {
    return this.#tensors.get(parameter);
  }

  /** Sets all gradients to zero, for the next step. */
  clear(): void {
    for (const tensor of this.#tensors.values()) this.device.write(tensor, new Float32Array(tensor.length));
  }
}
