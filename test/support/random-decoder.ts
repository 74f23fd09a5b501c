import { qwen2Tensors, type SyntheticTensor } from "../../src/bench/synthetic.js";
import type { LayerPlan } from "../../src/layers/layer-store.js";
import { WeightLoader } from "../../src/layers/weights.js";
import { Qwen2, type Stage } from "../../src/models/llava-onevision/qwen2.js";
import type { Device } from "../../src/runtime/device.js";
import { floatTensor, indexOf } from "./layers.js";
import { normals } from "./random.js";

/** A geometry that no checkpoint here has: wider heads than its width, five layers, a head of its own. */
export const RANDOM_TEXT = {
  width: 72,
  layers: 5,
  heads: 3,
  keyValueHeads: 1,
  headSize: 32,
  mlpWidth: 200,
  vocabulary: 96,
  maxPositions: 128,
  ropeTheta: 10_000,
  rmsNormEps: 1e-6,
  tied: false,
};

/** A decoder of random weights, with layers that stream (`plan`), or the last ones on other devices. */
export async function randomDecoder(device: Device, plan?: LayerPlan, others: readonly Stage[] = []) {
  const head: SyntheticTensor = { shape: [RANDOM_TEXT.vocabulary, RANDOM_TEXT.width], scale: 0.1 };
  const all = qwen2Tensors(RANDOM_TEXT).set("lm_head.weight", head);
  const tensors = [...all].map(([name, { shape, scale, offset = 0 }], i) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return floatTensor(
      name,
      shape,
      normals(count, i + 1, 4 * scale).map((value) => value + offset),
    );
  });
  const loader = new WeightLoader(device, await indexOf(tensors));
  const arena = device.arena("model");
  const root = loader.root();
  const stages = others.map((stage) => ({
    ...stage,
    weights: loader.beside(stage.device).root(),
    arena: stage.device.arena("model"),
  }));
  const lmHead = { weights: root, name: "lm_head" };
  const language = arena.run(() => new Qwen2(root, root, lmHead, RANDOM_TEXT, plan, stages));
  loader.check("random", () => false);
  await loader.load();
  await language.store.prepare();
  const free = (): void => {
    language.store.close();
    arena.dispose();
    for (const stage of stages) stage.arena.dispose();
  };
  return { language, free };
}

/** Rows `first` to `first + rows` of a random input `[T, D]`, of at most 64 rows. */
export function randomRows(first: number, rows: number): Float32Array {
  const { width } = RANDOM_TEXT;
  return normals(64 * width, 7).subarray(first * width, (first + rows) * width);
}
