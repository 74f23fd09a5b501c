/** Gradients of the kernels' operations in float64, as their formulas say. */
import { erf } from "./matmul.js";

type Numbers = ArrayLike<number>;

/** C `[m, n]` = A `[m, k]`·B `[k, n]`. */
export function product(a: Numbers, b: Numbers, m: number, k: number, n: number): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let l = 0; l < k; l++) {
      for (let j = 0; j < n; j++) c[i * n + j]! += a[i * k + l]! * b[l * n + j]!;
    }
  }
  return c;
}

/** Aᵀ `[n, m]` of A `[m, n]`. */
export function transpose(a: Numbers, m: number, n: number): Float64Array {
  const t = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) t[j * m + i] = a[i * n + j]!;
  return t;
}

/** Gradients of RMSNorm and LayerNorm with respect to x `[T, D]` and the weight `[D]`. */
export function norm(
  x: Numbers,
  weight: Numbers,
  dy: Numbers,
  epsilon: number,
  centred: boolean,
): { dx: Float64Array; dWeight: Float64Array } {
  const width = weight.length;
  const dx = new Float64Array(x.length);
  const dWeight = new Float64Array(width);
  for (let start = 0; start < x.length; start += width) {
    const row = Array.from({ length: width }, (_, i) => x[start + i]!);
    const mean = (values: number[]): number => values.reduce((sum, v) => sum + v, 0) / width;
    const center = centred ? mean(row) : 0;
    const sigma = Math.sqrt(mean(row.map((v) => (v - center) ** 2)) + epsilon);
    const normed = row.map((v) => (v - center) / sigma);
    const g = normed.map((_, i) => dy[start + i]! * weight[i]!);
    const along = mean(g.map((v, i) => v * normed[i]!));
    const shift = centred ? mean(g) : 0;
    for (let i = 0; i < width; i++) {
      dx[start + i] = (g[i]! - along * normed[i]! - shift) / sigma;
      dWeight[i]! += dy[start + i]! * normed[i]!;
    }
  }
  return { dx, dWeight };
}

/** Gradient of SwiGLU: x is gate and up, interleaved in blocks of 8. */
export function swiglu(x: Numbers, dy: Numbers): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => {
    const isUp = i % 16 >= 8;
    const gate = x[isUp ? i - 8 : i]!;
    const up = x[isUp ? i : i + 8]!;
    const d = dy[Math.floor(i / 16) * 8 + (i % 8)]!;
    const sigmoid = 1 / (1 + Math.exp(-gate));
    return isUp ? d * gate * sigmoid : d * up * sigmoid * (1 + gate * (1 - sigmoid));
  });
}

/** Gradient of GELU. */
export function gelu(x: Numbers, dy: Numbers, kind: "gelu_tanh" | "gelu_erf"): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => {
    const v = x[i]!;
    if (kind === "gelu_erf") {
      return dy[i]! * (0.5 * (1 + erf(v / Math.SQRT2)) + (v * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI));
    }
    const a = Math.sqrt(2 / Math.PI);
    const t = Math.tanh(a * (v + 0.044715 * v ** 3));
    return dy[i]! * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * a * (1 + 3 * 0.044715 * v * v));
  });
}

/** Losses of rows `[N, V]` with labels, and the gradient of `scale·Σ loss`. */
export function crossEntropy(
  logits: Numbers,
  labels: Numbers,
  scale: number,
): { loss: Float64Array; gradient: Float64Array } {
  const rows = labels.length;
  const width = logits.length / rows;
  const loss = new Float64Array(rows);
  const gradient = new Float64Array(logits.length);
  for (let r = 0; r < rows; r++) {
    const row = Array.from({ length: width }, (_, i) => logits[r * width + i]!);
    const top = Math.max(...row);
    const total = row.reduce((sum, v) => sum + Math.exp(v - top), 0);
    loss[r] = Math.log(total) + top - row[labels[r]!]!;
    for (let i = 0; i < width; i++)
      gradient[r * width + i] = scale * (Math.exp(row[i]! - top) / total - Number(i === labels[r]));
  }
  return { loss, gradient };
}

export interface AttentionSizes {
  readonly batches: number;
  readonly rows: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly causal: boolean;
}

/** Attention of qkv `[B·T, (H + 2K)·C]` and its gradient with respect to qkv. */
export function attention(qkv: Numbers, dy: Numbers, sizes: AttentionSizes): { y: Float64Array; dqkv: Float64Array } {
  const { batches, rows, heads, keyValueHeads, headSize, causal } = sizes;
  const [stride, width] = [(heads + 2 * keyValueHeads) * headSize, heads * headSize];
  const y = new Float64Array(batches * rows * width);
  const dqkv = new Float64Array(batches * rows * stride);
  const scale = 1 / Math.sqrt(headSize);
  const group = heads / keyValueHeads;
  for (let batch = 0; batch < batches; batch++) {
    for (let h = 0; h < heads; h++) {
      const kAt = width + Math.floor(h / group) * headSize;
      const vAt = kAt + keyValueHeads * headSize;
      for (let i = 0; i < rows; i++) {
        const row = batch * rows + i;
        const count = causal ? i + 1 : rows;
        const key = (j: number): number => (batch * rows + j) * stride;
        const scores = Array.from({ length: count }, (_, j) => {
          let s = 0;
          for (let c = 0; c < headSize; c++) s += qkv[row * stride + h * headSize + c]! * qkv[key(j) + kAt + c]!;
          return s * scale;
        });
        const top = Math.max(...scores);
        const total = scores.reduce((sum, s) => sum + Math.exp(s - top), 0);
        const p = scores.map((s) => Math.exp(s - top) / total);
        const d = (c: number): number => dy[row * width + h * headSize + c]!;
        const dp = p.map((_, j) => {
          let s = 0;
          for (let c = 0; c < headSize; c++) s += d(c) * qkv[key(j) + vAt + c]!;
          return s;
        });
        const along = p.reduce((sum, pj, j) => sum + pj * dp[j]!, 0);
        for (let j = 0; j < count; j++) {
          const ds = p[j]! * (dp[j]! - along) * scale;
          for (let c = 0; c < headSize; c++) {
            y[row * width + h * headSize + c]! += p[j]! * qkv[key(j) + vAt + c]!;
            dqkv[row * stride + h * headSize + c]! += ds * qkv[key(j) + kAt + c]!;
            dqkv[key(j) + kAt + c]! += ds * qkv[row * stride + h * headSize + c]!;
            dqkv[key(j) + vAt + c]! += p[j]! * d(c);
          }
        }
      }
    }
  }
  return { y, dqkv };
}

/** One step of AdamW; returns the parameter and its moments after it. */
export function adamw(
  state: { w: Numbers; gradient: Numbers; m: Numbers; v: Numbers },
  squares: number,
  step: number,
  o: { rate: number; betas: readonly [number, number]; epsilon: number; decay: number; clip: number },
): { w: Float64Array; m: Float64Array; v: Float64Array } {
  const clip = Math.min(1, o.clip / (Math.sqrt(squares) + 1e-6));
  const [w, m, v] = [0, 1, 2].map(() => new Float64Array(state.w.length)) as [Float64Array, Float64Array, Float64Array];
  for (let i = 0; i < w.length; i++) {
    const g = clip * state.gradient[i]!;
    m[i] = o.betas[0] * state.m[i]! + (1 - o.betas[0]) * g;
    v[i] = o.betas[1] * state.v[i]! + (1 - o.betas[1]) * g * g;
    const [mHat, vHat] = [m[i]! / (1 - o.betas[0] ** step), v[i]! / (1 - o.betas[1] ** step)];
    w[i] = state.w[i]! * (1 - o.rate * o.decay) - (o.rate * mHat) / (Math.sqrt(vHat) + o.epsilon);
  }
  return { w, m, v };
}

/** Softmax of scaled rows and its gradient; row i sees `seen(i)` columns. Returns the probabilities and the gradient of s. */
export function softmaxGradient(
  s: Float32Array,
  dp: Float32Array,
  width: number,
  scale: number,
  seen: (row: number) => number,
): { p: Float64Array; ds: Float64Array } {
  const [p, ds] = [new Float64Array(s.length), new Float64Array(s.length)];
  for (let row = 0; row < s.length / width; row++) {
    const count = Math.min(width, seen(row));
    const places = Array.from({ length: count }, (_, i) => row * width + i);
    const top = Math.max(...places.map((i) => scale * s[i]!));
    const total = places.reduce((sum, i) => sum + Math.exp(scale * s[i]! - top), 0);
    for (const i of places) p[i] = Math.exp(scale * s[i]! - top) / total;
    const mean = places.reduce((sum, i) => sum + p[i]! * dp[i]!, 0);
    for (const i of places) ds[i] = scale * p[i]! * (dp[i]! - mean);
  }
  return { p, ds };
}
