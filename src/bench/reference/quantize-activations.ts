/** Values of a group. */
const GROUP = 32;

/**
 * What 8 bits keep of `rows` rows of activations, in float64: each group of 32 values (the last of a row may have fewer) is `scale·n` with
 * `scale = max|x| / 127` and n the nearest integer, as Q8_0 of GGML.
 */
export function quantizedActivations(x: ArrayLike<number>, rows: number): Float64Array {
  const width = x.length / rows;
  const y = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < width; first += GROUP) {
      const [start, end] = [row * width + first, row * width + Math.min(first + GROUP, width)];
      let most = 0;
      for (let i = start; i < end; i++) most = Math.max(most, Math.abs(x[i]!));
      const scale = most / 127;
      for (let i = start; i < end; i++) y[i] = scale === 0 ? 0 : scale * Math.round(x[i]! / scale);
    }
  }
  return y;
}
