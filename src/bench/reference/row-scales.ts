/** A power of two for each of `rows` rows, so that `scale · max|x|` of the row is at least 2^14 and less than 2^15; 2^77 at most. */
export function rowScales(x: ArrayLike<number>, rows: number): Float64Array {
  const width = x.length / rows;
  return Float64Array.from({ length: rows }, (_, row) => {
    let largest = 0;
    for (let i = row * width; i < (row + 1) * width; i++) largest = Math.max(largest, Math.abs(x[i]!));
    let scale = 2 ** 77;
    while (scale * largest >= 2 ** 15) scale /= 2;
    return scale;
  });
}
