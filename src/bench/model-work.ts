import type { LoadedModel } from "./loaded-model.js";
import { BITS } from "./workload.js";

/** Work of the stages of an answer: FLOPs (2 per multiply-add), weights read, bytes read and written. */
export interface Amounts {
  readonly flops: number;
  readonly weights: number;
  readonly bytes: number;
}

/** Weights of one decoder layer. */
function layerWeights({ geometry }: LoadedModel): number {
  const { width, mlpWidth, heads, keyValueHeads, headSize } = geometry.text;
  return width * headSize * (2 * heads + 2 * keyValueHeads) + 3 * width * mlpWidth;
}

function headWeights({ geometry }: LoadedModel): number {
  return geometry.text.width * geometry.text.vocabulary;
}

function visionWeights({ geometry }: LoadedModel): number {
  const { vision, text } = geometry;
  const layer = 4 * vision.width ** 2 + 2 * vision.width * vision.mlpWidth;
  const embedding = 3 * vision.patchSide ** 2 * vision.width;
  return embedding + vision.layers * layer + vision.width * text.width + text.width ** 2;
}

/** All weights of the model, without biases and norms. */
export function weightsOf(model: LoadedModel): number {
  return visionWeights(model) + model.geometry.text.layers * layerWeights(model) + headWeights(model);
}

/** Vision tower and projector. Bytes: weights and inter-layer activations, once each. */
export function vision(model: LoadedModel, tiles: number): Amounts {
  const { vision: sizes } = model.geometry;
  const patches = tiles * sizes.cells ** 2;
  const weights = visionWeights(model);
  const attention = 4 * sizes.layers * patches * sizes.cells ** 2 * sizes.width;
  const bytes = (weights * BITS[model.visionType]) / 8 + 8 * patches * sizes.width * sizes.layers;
  return { flops: 2 * patches * weights + attention, weights, bytes };
}

/** Prefill of rows, with the head on the last one. */
export function prefill(model: LoadedModel, rows: number): Amounts {
  const { width, layers, heads, headSize } = model.geometry.text;
  const inLayers = layers * layerWeights(model);
  const head = headWeights(model);
  const attention = (4 * layers * heads * headSize * rows * (rows + 1)) / 2;
  const weights = inLayers + head;
  const bytes = (weights * BITS[model.dtype]) / 8 + 8 * rows * width * layers;
  return { flops: 2 * rows * inLayers + 2 * head + attention, weights, bytes };
}

/** One decode step after `cached` tokens. */
export function step(model: LoadedModel, cached: number): Amounts {
  const { layers, heads, keyValueHeads, headSize } = model.geometry.text;
  const weights = layers * layerWeights(model) + headWeights(model);
  const attention = 4 * layers * heads * headSize * (cached + 1);
  const cache = 4 * 2 * layers * keyValueHeads * headSize * (cached + 1);
  return { flops: 2 * weights + attention, weights, bytes: (weights * BITS[model.dtype]) / 8 + cache };
}
