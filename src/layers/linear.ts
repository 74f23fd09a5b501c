import type { Epilogue } from "../kernels/epilogue.js";
import { matmul } from "../kernels/matmul.js";
import { rmsNorm } from "../kernels/norm.js";
import { pack } from "../kernels/pack.js";
import { PackedMatrix } from "../kernels/packed.js";
import { swiglu } from "../kernels/swiglu.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gradients } from "./gradients.js";
import { type Adapters, type LowRank, type LowRankAdapter, lowRank } from "./low-rank.js";
import type { RowConsumer, Weights } from "./weights.js";

/** One stored matrix of a fused projection, by its checkpoint name. */
export interface LinearPart {
  readonly name: string;
  /** Output width. */
  readonly columns: number;
  /** 0 or 1: the two parts are interleaved in blocks of 8 columns instead of concatenated. */
  readonly interleave?: 0 | 1;
}

/**
 * Linear layer `y = x·Wᵀ + b`. Several stored matrices over the same input are fused into one (`q_proj`, `k_proj`, `v_proj`): their
 * results lie side by side in the columns of y.
 * @example
 * ```ts
 * const linear = new Linear(weights, 896, [{ name: "o_proj", columns: 896 }], { bias: false });
 * const y = linear.forward(x); // [rows, 896]
 * ```
 */
export class Linear {
  readonly weight: PackedMatrix;
  readonly bias: Tensor | undefined;
  readonly #adapters: Adapters;
  /** What each adapter adds. */
  readonly #added: LowRank[];
  readonly #parts: readonly { readonly module: string; readonly columns: number; readonly interleave?: 0 | 1 }[];

  constructor(weights: Weights, inner: number, parts: readonly LinearPart[], options: { bias: boolean }) {
    const names = parts.map((part) => part.name);
    this.weight = packedMatrix(
      weights,
      inner,
      parts.map((part) => ({ ...part, name: `${part.name}.weight` })),
      names.join("+"),
    );
    this.bias = options.bias ? fusedBias(weights, parts) : undefined;
    this.#adapters = weights.adapters;
    this.#parts = parts.map(({ name, ...part }) => ({ ...part, module: weights.path(name) }));
    this.#added = this.#adapters.all.flatMap((adapter) => lowRank(weights.device, adapter, inner, this.#parts) ?? []);
  }

  /** What the adapters add to this layer. */
  get added(): readonly LowRank[] {
    return this.#added;
  }

  /** The modules of the checkpoint that this layer consists of. */
  get modules(): readonly { readonly module: string; readonly columns: number }[] {
    return this.#parts;
  }

  /** Adds what an adapter has for this layer, after loading; allocated in the current arena. */
  attach(adapter: LowRankAdapter): void {
    const added = lowRank(this.weight.blocks[0]!.tensor.device, adapter, this.weight.inner, this.#parts);
    if (added) this.#added.push(added);
  }

  /** Removes what an adapter adds. Its memory is freed by its owner. */
  detach(adapter: string): void {
    const at = this.#added.findIndex((added) => added.adapter === adapter);
    if (at >= 0) this.#added.splice(at, 1);
  }

  /**
   * x `[T, inner]` → y `[T, columns]`, or `[T, columns / 2]` with `swiglu`. With an epilogue,
   * `y = residual + activation(norm(x)·Wᵀ + b)`: a residual connection is added here, in the epilogue of the product.
   */
  forward(x: Tensor, epilogue: Omit<Epilogue, "bias"> = {}): Tensor {
    const active = this.#active;
    if (active.length > 0) return this.#adapted(x, active, epilogue);
    return matmul(x, this.weight, { ...epilogue, bias: this.bias });
  }

  /**
   * x `[T, inner]` and the gradient dy `[T, columns]` of y = x·Wᵀ + b + Σ (x·Aᵀ)·Bᵀ → dx `[T, inner]`. Adds dYᵀ·X to the gradient of W, the
   * sums of dY to that of b, dYᵀ·(X·Aᵀ) to that of B and (dY·B)ᵀ·X to that of A; with dropout A has dropout(X) in the place of X.
   */
  backward(x: Tensor, dy: Tensor, gradients: Gradients): Tensor {
    gradients.of(this.weight)?.addProduct(dy, x);
    if (this.bias) gradients.of(this.bias)?.addSums(dy);
    const { kernels } = gradients;
    let dx = kernels.input(dy, this.weight); // [T, inner]
    for (const { adapter, down, up } of this.#active) {
      const drop = this.#dropoutOf(adapter);
      const kept = drop ? drop(x) : x; // [T, inner]
      const dt = kernels.input(dy, up); // [T, rank]
      gradients.of(up)?.addProduct(dy, matmul(kept, down));
      gradients.of(down)?.addProduct(dt, kept);
      dx = drop ? drop(kernels.input(dt, down), dx) : kernels.input(dt, down, dx);
    }
    return dx;
  }

  /** Dropout of what an adapter sees of this layer's input, the same in the forward and the backward pass; undefined without. */
  #dropoutOf(adapter: string): ((x: Tensor, into?: Tensor) => Tensor) | undefined {
    const { dropout } = this.#adapters;
    return dropout?.adapter === adapter ? (x, into) => dropout.drop(x, this.#parts[0]!.module, into) : undefined;
  }

  get #active(): readonly LowRank[] {
    return this.#added.filter(({ adapter }) => this.#adapters.active.includes(adapter));
  }

  /** With adapters (LoRA): `y = residual + norm(x)·Wᵀ + b + Σ (norm(x)·Aᵀ)·Bᵀ`, SwiGLU after the sum. */
  #adapted(x: Tensor, active: readonly LowRank[], { norm, residual, swiglu: gated }: Epilogue): Tensor {
    const input = norm ? rmsNorm(x, norm.weight, norm.epsilon) : x; // [T, inner]
    let added = residual;
    for (const { adapter, down, up } of active) {
      const t = matmul(this.#dropoutOf(adapter)?.(input) ?? input, down); // x·Aᵀ, [T, rank]
      added = matmul(t, up, { residual: added }); // [T, columns]
    }
    const y = matmul(input, this.weight, { bias: this.bias, residual: added }); // [T, columns]
    return gated ? swiglu(y) : y;
  }
}

/** Allocates a packed matrix and requests its stored parts; `shape` is the stored shape where it is not `[columns, inner]`. */
export function packedMatrix(
  weights: Weights,
  inner: number,
  parts: readonly (LinearPart & { readonly shape?: readonly number[] })[],
  label: string,
): PackedMatrix {
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const type = weights.typeOf(parts[0]!.name);
  const matrix = weights.allocate(() =>
    PackedMatrix.allocate(weights.device, columns, inner, type, weights.path(label)),
  );
  let first = 0;
  for (const part of parts) {
    const offset = first;
    const consume: RowConsumer = (chunk, stored, firstRow, rows) =>
      pack(chunk, stored, rows, matrix, (part.interleave === undefined ? offset : 0) + firstRow, part.interleave);
    const place = { matrix, interleave: part.interleave };
    weights.stream(part.name, part.shape ?? [part.columns, inner], type, consume, place);
    first += part.columns;
  }
  return matrix;
}

/** The concatenated biases of the parts. */
function fusedBias(weights: Weights, parts: readonly LinearPart[]): Tensor {
  if (parts.length === 1) return weights.tensor(`${parts[0]!.name}.bias`, [parts[0]!.columns]);
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const label = weights.path(`${parts.map((part) => part.name).join("+")}.bias`);
  const bias = weights.allocate(() => weights.device.empty([columns], "f32", label));
  let first = 0;
  for (const part of parts) {
    weights.part(`${part.name}.bias`, [part.columns], bias, first);
    first += part.columns;
  }
  return bias;
}
