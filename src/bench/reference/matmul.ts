/** GELU in float64. */
export function gelu(x: number, kind: "gelu_tanh" | "gelu_erf"): number {
  if (kind === "gelu_tanh") return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

/** The error function by its series, and by its continued fraction where the series cancels. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 3) {
    let term = z;
    let sum = z;
    for (let n = 1; n < 200 && Math.abs(term) > 1e-18; n++) {
      term *= -(z * z) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = z;
  for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction);
}

export interface ReferenceEpilogue {
  bias?: ArrayLike<number>;
  activation?: "gelu_tanh" | "gelu_erf";
  residual?: ArrayLike<number>;
}

/** `y[r][c] = residual[r mod n][c] + activation(Σ x[r][k]·w[c][k] + bias[c])` in float64. */
export function matmul(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  rows: number,
  inner: number,
  columns: number,
  epilogue: ReferenceEpilogue = {},
): Float64Array {
  const y = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[r * inner + k]! * w[c * inner + k]!;
      sum += epilogue.bias?.[c] ?? 0;
      if (epilogue.activation) sum = gelu(sum, epilogue.activation);
      if (epilogue.residual) sum += epilogue.residual[(r * columns + c) % epilogue.residual.length]!;
      y[r * columns + c] = sum;
    }
  }
  return y;
}
