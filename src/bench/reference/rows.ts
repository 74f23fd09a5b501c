/** Embedding lookup: rows of a table by id. */
export function gather(ids: ArrayLike<number>, table: ArrayLike<number>, width: number): Float64Array {
  const y = new Float64Array(ids.length * width);
  for (let r = 0; r < ids.length; r++) for (let i = 0; i < width; i++) y[r * width + i] = table[ids[r]! * width + i]!;
  return y;
}

/** Bilinear blend of four rows by (weight of the lower, weight of the right), in float64. */
export function resample(
  x: ArrayLike<number>,
  sources: ArrayLike<number>,
  weights: ArrayLike<number>,
  width: number,
): Float64Array {
  const rows = sources.length / 4;
  const y = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => sources[r * 4 + i]! * width);
    const [lower, right] = [weights[2 * r]!, weights[2 * r + 1]!];
    for (let i = 0; i < width; i++) {
      const top = (1 - right) * x[a! + i]! + right * x[b! + i]!;
      const bottom = (1 - right) * x[c! + i]! + right * x[d! + i]!;
      y[r * width + i] = (1 - lower) * top + lower * bottom;
    }
  }
  return y;
}

/** Patches `[N·cells², 3·p²]` of tiles `[N, S, S, 3]`, each byte looked up in its channel's levels. */
export function patchify(
  pixels: ArrayLike<number>,
  levels: ArrayLike<number>,
  tiles: number,
  side: number,
  patch: number,
): Float64Array {
  const cells = Math.floor(side / patch);
  const inner = 3 * patch * patch;
  const y = new Float64Array(tiles * cells * cells * inner);
  let at = 0;
  for (let t = 0; t < tiles; t++) {
    for (let cy = 0; cy < cells; cy++) {
      for (let cx = 0; cx < cells; cx++) {
        for (let c = 0; c < 3; c++) {
          for (let py = 0; py < patch; py++) {
            for (let px = 0; px < patch; px++) {
              const byte = pixels[((t * side + cy * patch + py) * side + cx * patch + px) * 3 + c]!;
              y[at++] = levels[c * 256 + byte]!;
            }
          }
        }
      }
    }
  }
  return y;
}
