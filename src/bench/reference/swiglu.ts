/** `silu(gate)·up` of rows that hold gate and up side by side, in float64. */
export function swiglu(x: ArrayLike<number>, rows: number): Float64Array {
  const width = x.length / rows / 2;
  const y = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < width; i++) {
      const gate = x[r * 2 * width + i]!;
      y[r * width + i] = (gate / (1 + Math.exp(-gate))) * x[r * 2 * width + width + i]!;
    }
  }
  return y;
}
