import { copyRows } from "../kernels/copy-rows.js";
import { crossEntropy } from "../kernels/cross-entropy.js";
import { gradientProduct } from "../kernels/gradient-product.js";
import { scatterRows } from "../kernels/scatter-rows.js";
import { setZero } from "../kernels/zeros.js";
import type { Gradients } from "../layers/gradients.js";
import { KVCache } from "../layers/kv-cache.js";
import type { AdapterDropout } from "../layers/low-rank.js";
import type { Qwen2 } from "../models/llava-onevision/qwen2.js";
import type { Tensor } from "../runtime/tensor.js";

/** Supervised rows whose logits are computed together: the whole matrix of logits never exists. */
const ROWS_AT_ONCE = 64;

/** What a sequence teaches: after row `rows[i]` comes the token `ids[i]`. */
export interface Supervision {
  readonly rows: readonly number[];
  readonly ids: readonly number[];
}

/**
 * Forward and backward pass of the decoder over one sequence of embeddings x `[T, D]`: returns the cross-entropy of each supervised row
 * `[N]` and the gradient dx `[T, D]` of `scale·Σ loss`, and adds the gradients of the weights. Each layer's activations are computed again
 * in its backward pass (activation checkpointing, arXiv 1604.06174): only its input and the sum after its attention are kept. `dropout`: of
 * what an adapter sees. `adapters`: those that it is computed with; all if not given.
 */
export function languageStep(
  language: Qwen2,
  x: Tensor,
  supervision: Supervision,
  scale: number,
  gradients: Gradients,
  dropout?: AdapterDropout,
  adapters?: readonly string[],
): { losses: Tensor; dx: Tensor } {
  language.adapters.use(adapters);
  language.adapters.dropout = dropout;
  try {
    return bothPasses(language, x, supervision, scale, gradients);
  } finally {
    language.adapters.dropout = undefined;
  }
}

function bothPasses(
  language: Qwen2,
  x: Tensor,
  { rows, ids }: Supervision,
  scale: number,
  gradients: Gradients,
): { losses: Tensor; dx: Tensor } {
  const { device } = x;
  const { layers, keyValueHeads, headSize } = language.config;
  const cache = new KVCache(device, layers, keyValueHeads * headSize, "f32");
  cache.reserve(x.size(0));
  const sequences = [{ cache, rows: x.size(0) }];
  const inputs: Tensor[] = [x];
  const middles: Tensor[] = [];
  for (const layer of language.layers) {
    const h = device.scope(() => layer.attention.forward(inputs.at(-1)!, layer.inputNorm, sequences)); // [T, D]
    middles.push(h);
    inputs.push(device.scope(() => layer.mlp.forward(h, layer.postNorm))); // [T, D]
  }
  cache.dispose(); // the backward pass computes keys and values again
  const last = inputs.at(-1)!;
  const hidden = language.norm.forward(last); // [T, D]
  const losses = device.empty([rows.length], "f32", "losses");
  const dHidden = device.empty(hidden.shape, "f32", "gradient of norm"); // [T, D]
  setZero(dHidden);
  const head = language.head?.weight ?? language.embedding.table;
  const dHead = gradients.of(head);
  for (let first = 0; first < rows.length; first += ROWS_AT_ONCE) {
    device.scope(() => {
      const own = rows.slice(first, first + ROWS_AT_ONCE);
      const { logits, picked, labels } = logitsOf(language, hidden, own, ids.slice(first, first + own.length));
      const loss = crossEntropy(logits, labels, scale); // the logits become their gradient
      device.copy(loss, 0, losses, first * 4, own.length * 4);
      dHead?.addProduct(logits, picked);
      const dPicked = gradientProduct({ tensor: logits }, head); // [n, D]
      scatterRows(dPicked, device.upload(Uint32Array.from(own), [own.length], "rows"), dHidden);
    });
  }
  let dx = device.scope(() => language.norm.backward(last, dHidden, gradients)); // [T, D]
  for (let i = layers - 1; i >= 0; i--) {
    const dy = dx;
    dx = device.scope(() => language.layers[i]!.backward(inputs[i]!, middles[i]!, dy, gradients)); // [T, D]
  }
  return { losses, dx };
}

/** Adds the gradient dx `[T, D]` of embedded tokens to the table's; rows whose id is `NO_ROW` are not tokens. */
export function embeddingStep(language: Qwen2, dx: Tensor, ids: Uint32Array, gradients: Gradients): void {
  gradients.of(language.embedding.table)?.addRows(dx, dx.device.upload(ids, [ids.length], "ids"));
}

/** Forward pass of the decoder over one sequence of embeddings x `[T, D]`: the cross-entropy of each supervised row `[N]`. */
export function languageLosses(
  language: Qwen2,
  x: Tensor,
  { rows, ids }: Supervision,
  adapters?: readonly string[],
): Tensor {
  const { device } = x;
  const { layers, keyValueHeads, headSize } = language.config;
  const cache = new KVCache(device, layers, keyValueHeads * headSize, "f32");
  cache.adapters = adapters;
  cache.reserve(x.size(0));
  const hidden = language.forward(x, [{ cache, rows: x.size(0) }]); // [T, D]
  cache.dispose();
  const losses = device.empty([rows.length], "f32", "losses");
  for (let first = 0; first < rows.length; first += ROWS_AT_ONCE) {
    device.scope(() => {
      const own = rows.slice(first, first + ROWS_AT_ONCE);
      const { logits, labels } = logitsOf(language, hidden, own, ids.slice(first, first + own.length));
      device.copy(crossEntropy(logits, labels, 1), 0, losses, first * 4, own.length * 4);
    });
  }
  return losses;
}

/** Logits `[n, V]` of rows of hidden `[T, D]`, the rows `[n, D]`, and their labels `[n]`. */
function logitsOf(language: Qwen2, hidden: Tensor, rows: readonly number[], ids: readonly number[]) {
  const { device } = hidden;
  const labels = device.upload(Uint32Array.from(ids), [rows.length], "labels");
  const picked = device.empty([rows.length, hidden.size(1)], "f32", "supervised rows");
  const places = Uint32Array.from(rows.flatMap((row, i) => [row, i]));
  copyRows(hidden, device.upload(places, [rows.length, 2], "rows"), picked);
  return { logits: language.logits(picked), picked, labels };
}
