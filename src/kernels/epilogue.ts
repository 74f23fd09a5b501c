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
  /** Whether both factors may have values outside the range of f16, as gradients and activations do: weights are then never split into halves. */
  wideRange?: boolean | undefined;
}

/** WGSL functions of the activations, of one sum (`alias Value = f32;`) or four. */
const ACTIVATIONS = `
// 0.5(1 + tanh(u)) is 1 / (1 + exp(-2u)); the exponent is bounded so that it does not overflow.
fn geluTanh(x: Value) -> Value {
  let u = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  return x / (1.0 + exp(clamp(-2.0 * u, Value(-80.0), Value(80.0))));
}

// erf by Abramowitz and Stegun, formula 7.1.26, absolute error below 1.5e-7.
fn geluErf(x: Value) -> Value {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-z * z);
  return 0.5 * x * select(2.0 - tail, tail, x < Value(0.0));
}`;

const BINDINGS = {
  bias: "@group(0) @binding(3) var<storage, read> bias: array<f32>;  // [columns]",
  residual: "@group(0) @binding(4) var<storage, read> residual: array<f32>;  // [residualRows, columns]",
  normWeight: "@group(0) @binding(5) var<storage, read> normWeight: array<vec4f>;  // [quads]",
};

/** Bits of the parameter `epilogue`. */
const BITS = { bias: 1, residual: 2, gelu_tanh: 4, gelu_erf: 8, swiglu: 16 };

/**
 * WGSL header lines of any epilogue, for CPU adapters: the parameter `epilogue` says which operations there are. There compiling a
 * kernel takes longer than a question to a small model, and a branch for each sum of a product takes no time that can be measured.
 */
const ANY_EPILOGUE = [
  BINDINGS.bias,
  BINDINGS.residual,
  BINDINGS.normWeight,
  "alias Value = vec4f;",
  ACTIVATIONS,
  `fn isGated() -> bool { return (params.epilogue & ${BITS.swiglu}u) != 0u; }
fn normAt(quad: u32) -> vec4f { return normWeight[quad]; }
// Columns past the last read other numbers, which are not written.
fn finishColumns(sums: vec4f, row: u32, columns: vec4u) -> vec4f {
  var v = sums;
  if ((params.epilogue & ${BITS.bias}u) != 0u) { v += vec4f(bias[columns.x], bias[columns.y], bias[columns.z], bias[columns.w]); }
  if ((params.epilogue & ${BITS.gelu_tanh}u) != 0u) { v = geluTanh(v); }
  if ((params.epilogue & ${BITS.gelu_erf}u) != 0u) { v = geluErf(v); }
  if ((params.epilogue & ${BITS.residual}u) != 0u) {
    let at = row % params.residualRows * params.stride + columns;
    v += vec4f(residual[at.x], residual[at.y], residual[at.z], residual[at.w]);
  }
  return v;
}`,
];

const ACTIVATE: Record<Activation | "none", string> = {
  none: "value",
  gelu_tanh: "geluTanh(value)",
  gelu_erf: "geluErf(value)",
};

/** WGSL header lines of one epilogue, for GPUs. */
function oneEpilogue({ norm, bias, activation, residual, swiglu = false }: Epilogue): string[] {
  return [
    ...(bias ? [BINDINGS.bias] : []),
    ...(residual ? [BINDINGS.residual] : []),
    ...(norm ? [BINDINGS.normWeight] : []),
    "alias Value = f32;",
    ACTIVATIONS,
    `fn isGated() -> bool { return ${swiglu}; }
fn normAt(quad: u32) -> vec4f { return ${norm ? "normWeight[quad]" : "vec4f(1.0)"}; }
fn finish(sum: f32, row: u32, column: u32) -> f32 {
  let value = sum${bias ? " + bias[column]" : ""};
  return ${ACTIVATE[activation ?? "none"]}${residual ? " + residual[(row % params.residualRows) * params.stride + column]" : ""};
}
fn finishColumns(sums: vec4f, row: u32, columns: vec4u) -> vec4f {
  return vec4f(finish(sums.x, row, columns.x), finish(sums.y, row, columns.y), finish(sums.z, row, columns.z), finish(sums.w, row, columns.w));
}`,
  ];
}

/** An epilogue in WGSL, with its tensors and parameters. */
export interface EpilogueCode {
  /**
   * `finishColumns(sums, row, columns)` returns `residual + activation(sum + bias)` of four columns, `isGated()` whether the epilogue is
   * SwiGLU, `normAt(quad)` the norm's weights; on GPUs there is also `finish(sum, row, column)`.
   */
  readonly header: readonly string[];
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly parameters: Readonly<Record<string, number>>;
}

/** Returns the code of an epilogue; `x`, the matrix that is multiplied, is bound where CPU adapters need a tensor that is not there. */
export function epilogueCode(epilogue: Epilogue, x: Tensor, onCPU: boolean): EpilogueCode {
  const { bias, residual, activation, swiglu, norm } = epilogue;
  const residualRows = residual?.size(0) ?? 1;
  if (!onCPU) {
    const tensors = { ...(bias && { bias }), ...(residual && { residual }), ...(norm && { normWeight: norm.weight }) };
    return { header: oneEpilogue(epilogue), tensors, parameters: { residualRows } };
  }
  const bits =
    (bias ? BITS.bias : 0) |
    (residual ? BITS.residual : 0) |
    (activation ? BITS[activation] : 0) |
    (swiglu ? BITS.swiglu : 0);
  return {
    header: ANY_EPILOGUE,
    tensors: { bias: bias ?? x, residual: residual ?? x, normWeight: norm?.weight ?? x },
    parameters: { residualRows, epilogue: bits },
  };
}

/**
 * WGSL `put(sums, row, unit)`, shared by the kernels whose lanes own four columns, eight apart: applies the epilogue and writes them.
 * Eight units make a panel: unit u begins at column u % 8 of panel u / 8. With SwiGLU the columns are gate and up, interleaved in
 * blocks of 8, and two results are written. Used by `matmulBlock`, `matmulBroadcast`, `matmulBroadcast4`, `matmulTile` and the `matvec…`
 * kernels of CPU adapters.
 */
export const PUT_COLUMNS = `
fn silu(x: f32) -> f32 { return x / (1.0 + exp(clamp(-x, -80.0, 80.0))); }

fn put(sums: vec4f, row: u32, unit: u32) {
  if (row >= params.rows) { return; }
  let first = unit / 8u * PANEL + unit % 8u;
  if (isGated()) {
    let at = row * params.stride / 2u + params.firstColumn / 2u + unit / 8u * (PANEL / 2u) + unit % 8u;
    if (first < params.columns) { y[at] = silu(sums.x) * sums.y; }
    if (first + 16u < params.columns) { y[at + 8u] = silu(sums.z) * sums.w; }
    return;
  }
  let columns = params.firstColumn + first + vec4u(0u, 8u, 16u, 24u);
  let v = finishColumns(sums, row, columns);
  let end = params.firstColumn + params.columns;
  let at = row * params.stride + columns;
  if (columns.x < end) { y[at.x] = v.x; }
  if (columns.y < end) { y[at.y] = v.y; }
  if (columns.z < end) { y[at.z] = v.z; }
  if (columns.w < end) { y[at.w] = v.w; }
}`;
