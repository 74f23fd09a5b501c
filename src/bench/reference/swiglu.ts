/** `silu(gate)·up` of rows that hold gate and up, interleaved in blocks of 8 columns, in float64. */
export function swiglu(x: ArrayLike<number>, rows: number): Float64Array {
  const width = x.length / rows / 2;
  const y = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < width; i++) {
      const gate = x[r * 2 * width + Math.floor(i / 8) * 16 + (i % 8)]!;
      y[r * width + i] = (gate / (1 + Math.exp(-gate))) * x[r * 2 * width + Math.floor(i / 8) * 16 + 8 + (i % 8)]!;
    }
  }
  return y;
}
