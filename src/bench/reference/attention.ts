export interface ReferenceAttention {
  batches: number;
  queries: number;
  keys: number;
  heads: number;
  keyValueHeads: number;
  headSize: number;
  causalFrom?: number;
}

/** Softmax attention in float64; q `[B·T, H·C]`, k and v `[B·S, K·C]`, result `[B·T, H·C]`. */
export function attention(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  { batches, queries, keys, heads, keyValueHeads, headSize, causalFrom }: ReferenceAttention,
): Float64Array {
  const y = new Float64Array(batches * queries * heads * headSize);
  const [qWidth, kWidth] = [heads * headSize, keyValueHeads * headSize];
  for (let b = 0; b < batches; b++) {
    for (let i = 0; i < queries; i++) {
      for (let h = 0; h < heads; h++) {
        const shared = Math.floor(h / (heads / keyValueHeads)) * headSize;
        const seen = causalFrom === undefined ? keys : Math.min(keys, causalFrom + i + 1);
        const scores = new Float64Array(seen);
        for (let j = 0; j < seen; j++) {
          for (let c = 0; c < headSize; c++) {
            scores[j]! += q[(b * queries + i) * qWidth + h * headSize + c]! * k[(b * keys + j) * kWidth + shared + c]!;
          }
          scores[j]! /= Math.sqrt(headSize);
        }
        const largest = scores.reduce((a, s) => Math.max(a, s), Number.NEGATIVE_INFINITY);
        const p = scores.map((s) => Math.exp(s - largest));
        const sum = p.reduce((a, s) => a + s, 0);
        for (let c = 0; c < headSize; c++) {
          let value = 0;
          for (let j = 0; j < seen; j++) value += p[j]! * v[(b * keys + j) * kWidth + shared + c]!;
          y[(b * queries + i) * qWidth + h * headSize + c] = value / sum;
        }
      }
    }
  }
  return y;
}
