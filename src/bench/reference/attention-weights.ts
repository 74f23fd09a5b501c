/** Attention weights of one query in float64; q `[H·C]`, k `[S, K·C]`, result `[H, S]`. */
export function attentionWeights(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  { keys, heads, keyValueHeads, headSize }: { keys: number; heads: number; keyValueHeads: number; headSize: number },
): Float64Array {
  const y = new Float64Array(heads * keys);
  for (let h = 0; h < heads; h++) {
    const shared = Math.floor(h / (heads / keyValueHeads)) * headSize;
    const scores = new Float64Array(keys);
    for (let j = 0; j < keys; j++) {
      for (let c = 0; c < headSize; c++) {
        scores[j]! += q[h * headSize + c]! * k[j * keyValueHeads * headSize + shared + c]!;
      }
      scores[j]! /= Math.sqrt(headSize);
    }
    const largest = Math.max(...scores);
    const sum = scores.reduce((total, score) => total + Math.exp(score - largest), 0);
    for (let j = 0; j < keys; j++) y[h * keys + j] = Math.exp(scores[j]! - largest) / sum;
  }
  return y;
}
