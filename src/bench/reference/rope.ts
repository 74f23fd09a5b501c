/** RoPE in the half-split convention: rotation of the first `rotated` columns, from given tables; in float64. */
export function rope(
  x: ArrayLike<number>,
  cosines: ArrayLike<number>,
  sines: ArrayLike<number>,
  width: number,
  rotated: number,
  half: number,
  firstPosition: number,
): Float64Array {
  const y = Float64Array.from(x);
  for (let row = 0; row < x.length / width; row++) {
    for (let head = 0; head < rotated; head += 2 * half) {
      for (let m = 0; m < half; m++) {
        const [cos, sin] = [cosines[(firstPosition + row) * half + m]!, sines[(firstPosition + row) * half + m]!];
        const at = row * width + head + m;
        y[at] = x[at]! * cos - x[at + half]! * sin;
        y[at + half] = x[at + half]! * cos + x[at]! * sin;
      }
    }
  }
  return y;
}
