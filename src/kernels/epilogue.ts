import type { Tensor } from "../runtime/tensor.js";

/** GELU (arXiv 1606.08415): the tanh approximation `0.5·x·(1 + tanh(√(2/π)(x + 0.044715x³)))`, or `0.5·x·(1 + erf(x/√2))`. */
export type Activation = "gelu_tanh" | "gelu_erf";

/** RMSNorm (arXiv 1910.07467) of the rows of x before they are multiplied: `norm(x) = x / √(mean(x²) + ε) ⊙ weight`. */
export interface Prologue {
  /** `[inner]` */
  readonly weight: Tensor;
  readonly epsilon: number;
}

/**
 * Operations fused into a matrix product: `y = residual + activation(norm(x)·Wᵀ + bias)`, or with `swiglu`
 * `y = silu(gate) ⊙ up` where `[gate, up] = norm(x)·Wᵀ`. Operations that are not given are left out. The residual connections of all
 * transformer layers are added here.
 */
export interface Epilogue {
  norm?: Prologue | undefined;
  /**
   * SwiGLU (arXiv 2002.05202): the columns are gate and up, interleaved in blocks of 8; the result is `silu(gate) ⊙ up`, half as
   * wide. Combines only with `norm`: bias, activation and residual are ignored.
   */
  swiglu?: boolean | undefined;
  /** `[columns]` */
  bias?: Tensor | undefined;
  activation?: Activation | undefined;
  /** `[rows, columns]`, or fewer rows, which are repeated (position embeddings of several tiles). */
  residual?: Tensor | undefined;
}

const ACTIVATION: Record<Activation | "none", string> = {
  none: "fn activate(x: f32) -> f32 { return x; }",
  // 0.5(1 + tanh(u)) is 1 / (1 + exp(-2u)); the exponent is bounded so that it does not overflow.
  gelu_tanh: `
fn activate(x: f32) -> f32 {
  let u = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  return x / (1.0 + exp(clamp(-2.0 * u, -80.0, 80.0)));
}`,
  // erf by Abramowitz and Stegun, formula 7.1.26, absolute error below 1.5e-7.
  gelu_erf: `
fn activate(x: f32) -> f32 {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-z * z);
  return 0.5 * x * select(2.0 - tail, tail, x < 0.0);
}`,
};

const BIAS = {
  some: `
@group(0) @binding(3) var<storage, read> bias: array<f32>;  // [columns]
fn biasAt(column: u32) -> f32 { return bias[column]; }`,
  none: "fn biasAt(column: u32) -> f32 { return 0.0; }",
};

const RESIDUAL = {
  some: `
@group(0) @binding(4) var<storage, read> residual: array<f32>;  // [residualRows, columns]
fn residualAt(row: u32, column: u32, stride: u32, rows: u32) -> f32 { return residual[(row % rows) * stride + column]; }`,
  none: "fn residualAt(row: u32, column: u32, stride: u32, rows: u32) -> f32 { return 0.0; }",
};

/**
 * WGSL header lines of an epilogue: `finish(sum, row, column, stride, residualRows)` returns `residual + activation(sum + bias)`, and
 * the kernel body calls it. `norm` and `swiglu` are ignored here: the kernel bodies implement them.
 */
export function epilogueHeader(epilogue: Epilogue): string[] {
  return [
    ACTIVATION[epilogue.activation ?? "none"],
    epilogue.bias ? BIAS.some : BIAS.none,
    epilogue.residual ? RESIDUAL.some : RESIDUAL.none,
    `fn finish(sum: f32, row: u32, column: u32, stride: u32, residualRows: u32) -> f32 {
  return activate(sum + biasAt(column)) + residualAt(row, column, stride, residualRows);
}`,
  ];
}

/**
 * WGSL `put(sums, row, unit)`, shared by the kernels whose lanes own four columns, eight apart: applies the epilogue and writes them.
 * Eight units make a panel: unit u begins at column u % 8 of panel u / 8. With SWIGLU the columns are gate and up, interleaved in
 * blocks of 8, and two results are written. Used by `matmulBlock`, `matmulBroadcast`, `matmulBroadcast4`, `matmulTile` and the `matvec…`
 * kernels of CPU adapters.
 */
export const PUT_COLUMNS = `
fn silu(x: f32) -> f32 { return x / (1.0 + exp(clamp(-x, -80.0, 80.0))); }

fn put(sums: vec4f, row: u32, unit: u32) {
  if (row >= params.rows) { return; }
  let first = unit / 8u * PANEL + unit % 8u;
  if (SWIGLU == 1u) {
    let at = row * params.stride / 2u + params.firstColumn / 2u + unit / 8u * (PANEL / 2u) + unit % 8u;
    if (first < params.columns) { y[at] = silu(sums.x) * sums.y; }
    if (first + 16u < params.columns) { y[at + 8u] = silu(sums.z) * sums.w; }
    return;
  }
  for (var j = 0u; j < 4u; j++) {
    let inBlock = first + 8u * j;
    if (inBlock < params.columns) {
      let column = params.firstColumn + inBlock;
      y[row * params.stride + column] = finish(sums[j], row, column, params.stride, params.residualRows);
    }
  }
}`;

/** The tensors of the bindings that {@link epilogueHeader} declares. */
export function epilogueTensors(epilogue: Epilogue): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  if (epilogue.bias) tensors.bias = epilogue.bias;
  if (epilogue.residual) tensors.residual = epilogue.residual;
  return tensors;
}
