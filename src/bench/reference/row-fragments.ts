/**
 * The halves of scaled rows in fragment order: blocks of m rows, blocks of k columns, then the upper bits and the remainders of one block, row by
 * row; zero beyond the rows and the columns. x `[rows, width]`, scales `[rows]`, `columns` with the zeros.
 */
export function rowFragments(
  x: ArrayLike<number>,
  scales: ArrayLike<number>,
  { m, k, columns }: { m: number; k: number; columns: number },
): Float64Array {
  const rows = scales.length;
  const width = x.length / rows;
  const blocks = columns / k;
  const y = new Float64Array(2 * Math.ceil(rows / m) * m * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < width; column++) {
      const value = Math.fround(x[row * width + column]! * scales[row]!);
      // The ten highest bits of the fraction, which f16 has.
      const exponent = value === 0 ? 0 : 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
      const upper = value === 0 ? 0 : Math.trunc(value / exponent) * exponent;
      const block = Math.floor(row / m) * blocks + Math.floor(column / k);
      const place = (row % m) * k + (column % k);
      y[2 * block * m * k + place] = upper;
      y[(2 * block + 1) * m * k + place] = value - upper;
    }
  }
  return y;
}
