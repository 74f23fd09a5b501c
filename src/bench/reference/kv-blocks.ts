/** Rows `[count, stride]` of a sequence whose row r is row `blocks[⌊r / size⌋]·size + r mod size` of x, blocks of `size` rows. */
export function rowsOfBlocks(
  x: ArrayLike<number>,
  blocks: readonly number[],
  size: number,
  count: number,
  stride: number,
): Float64Array {
  const rows = new Float64Array(count * stride);
  for (let r = 0; r < count; r++) {
    const row = blocks[Math.floor(r / size)]! * size + (r % size);
    for (let c = 0; c < stride; c++) rows[r * stride + c] = x[row * stride + c]!;
  }
  return rows;
}
