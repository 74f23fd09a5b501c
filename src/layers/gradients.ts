import { attentionGradient } from "../kernels/attention-gradient.js";
import { addColumnSums } from "../kernels/column-sums.js";
import { geluGradient } from "../kernels/gelu-gradient.js";
import { normGradient } from "../kernels/norm-gradient.js";
import { PackedMatrix } from "../kernels/packed.js";
import { rotate } from "../kernels/rotate.js";
import { scatterRows } from "../kernels/scatter-rows.js";
import { swigluGradient } from "../kernels/swiglu-gradient.js";
import { setZero } from "../kernels/zeros.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { addWeightGradient, inputGradient } from "./gradient-products.js";

/** A weight that can be trained: a matrix, or a vector. */
export type Parameter = PackedMatrix | Tensor;

/** Rows of a gradient in one buffer. */
export interface GradientBlock {
  /** `[rows, inner]`, or the shape of a vector. */
  readonly tensor: Tensor;
  readonly first: number;
  readonly rows: number;
}

/** The gradient of one weight, f32 and row-major, in the same blocks of rows as the packed matrix, so that no binding exceeds the limit. */
export class Gradient {
  readonly blocks: readonly GradientBlock[];

  /** Allocates zeros in the current arena. */
  constructor(device: Device, parameter: Parameter) {
    const label = `gradient of ${parameter.label}`;
    const zeros = (shape: readonly number[]): Tensor => {
      const tensor = device.empty(shape, "f32", label);
      setZero(tensor);
      return tensor;
    };
    this.blocks =
      parameter instanceof PackedMatrix
        ? parameter.blocks.map(({ firstColumn, columns }) => ({
            tensor: zeros([columns, parameter.inner]),
            first: firstColumn,
            rows: columns,
          }))
        : [{ tensor: zeros(parameter.shape), first: 0, rows: parameter.size(0) }];
  }

  /** Adds dyᵀ·x of a product y = x·Wᵀ: dy `[T, columns]`, x `[T, inner]`. */
  addProduct(dy: Tensor, x: Tensor): void {
    for (const { tensor, first } of this.blocks) {
      addWeightGradient(dy, x, tensor, first);
    }
  }

  /** Adds row i of dx `[T, inner]` to row `ids[i]`; see `scatterRows`. */
  addRows(dx: Tensor, ids: Tensor): void {
    for (const { tensor, first } of this.blocks) scatterRows(dx, ids, tensor, { first });
  }

  /** Adds the sums of the columns of dy `[T, columns]`: the gradient of a bias, or of a scale. */
  addSums(dy: Tensor): void {
    for (const { tensor } of this.blocks) addColumnSums(dy, tensor);
  }
}

/** Kernels of backward passes. */
const KERNELS = {
  input: inputGradient,
  norm: normGradient,
  gelu: geluGradient,
  swiglu: swigluGradient,
  attention: attentionGradient,
  rotate,
} as const;

/** The gradients of the weights that are trained; other weights have none. */
export class Gradients {
  /** Layers reach the kernels of their backward passes here, so that programs that do not train do not load them. */
  readonly kernels = KERNELS;
  readonly #gradients = new Map<Parameter, Gradient>();

  /** Allocates the gradients as zeros, in the current arena. */
  constructor(
    readonly device: Device,
    trained: Iterable<Parameter>,
  ) {
    for (const parameter of trained) this.#gradients.set(parameter, new Gradient(device, parameter));
  }

  /** Returns the gradient of a weight; undefined if it is not trained. */
  of(parameter: Parameter): Gradient | undefined {
    return this.#gradients.get(parameter);
  }

  /** Sets all gradients to zero, for the next step. */
  clear(): void {
    for (const { blocks } of this.#gradients.values()) for (const { tensor } of blocks) setZero(tensor);
  }
}
