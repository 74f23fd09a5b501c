import { WeightLoader } from "../layers/weights.js";
import type { DtypeByPart } from "../models/llava-onevision/dtype-by-part.js";
import { Network } from "../models/llava-onevision/network.js";
import { resolveLayout } from "../models/llava-onevision/tensor-names.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { warmUp } from "../models/warm-up.js";
import type { Device } from "../runtime/device.js";
import { GEOMETRY_05B, type Geometry, modelTensors } from "./geometries.js";
import { syntheticIndex } from "./synthetic.js";
import { siglipLevels } from "./verify.js";
import type { BenchType } from "./workload.js";

/** A model on a device, with its loading time and size. */
export interface LoadedModel {
  readonly network: Network;
  readonly geometry: Geometry;
  /** `[3, 256]` */
  readonly levels: Float32Array;
  readonly dtype: BenchType;
  /** Storage dtype of the vision tower and the projector. */
  readonly visionType: BenchType;
  readonly seconds: number;
  /** Bytes of weights on the adapter. */
  readonly weightBytes: number;
  dispose(): void;
}

/**
 * The tower is stored in f16 regardless of the language model: each of its weights is used 729 times per tile, so fewer bits gain
 * little, and the published checkpoints have 16 bits.
 */
const VISION_TYPE: BenchType = "f16";

/**
 * Loads a checkpoint folder, or random weights of a geometry (0.5B if not given); `dtype` is the language's and the embedding's.
 */
export async function loadModel(
  device: Device,
  dtype: BenchType,
  options: { checkpoint?: string; geometry?: Geometry; signal?: AbortSignal } = {},
): Promise<LoadedModel> {
  const { checkpoint, signal } = options;
  const byPart: DtypeByPart = { vision: VISION_TYPE, projector: VISION_TYPE, language: dtype, embed: dtype };
  const before = device.pool.liveBytes;
  const started = performance.now();
  const given =
    checkpoint === undefined
      ? undefined
      : await LlavaOneVision.load(checkpoint, { device, dtype: byPart, ...(signal && { signal }) });
  const made = given
    ? { network: given.internals.network, dispose: () => given.dispose() }
    : await random(device, byPart, options.geometry ?? GEOMETRY_05B, signal);
  return {
    network: made.network,
    geometry: given?.config ?? options.geometry ?? GEOMETRY_05B,
    levels: given?.internals.processor.levels ?? siglipLevels(),
    dtype,
    visionType: VISION_TYPE,
    seconds: (performance.now() - started) / 1000,
    weightBytes: device.pool.liveBytes - before,
    dispose: () => made.dispose(),
  };
}

/** Builds a model of random weights, which are generated while loading. */
async function random(
  device: Device,
  dtype: DtypeByPart,
  geometry: Geometry,
  signal: AbortSignal | undefined,
): Promise<{ network: Network; dispose(): void }> {
  const index = syntheticIndex(modelTensors(geometry), "BF16");
  const layout = resolveLayout(index.shapes.keys(), { tied: geometry.text.tied });
  const loader = new WeightLoader(device, index);
  const arena = device.arena("model");
  try {
    const network = arena.run(
      () =>
        new Network(loader.root(), { ...geometry, layout }, dtype, device.upload(siglipLevels(), [3, 256], "levels")),
    );
    loader.check("synthetic", (name) => layout.ignored(name));
    warmUp(network, "f32");
    await loader.load({ signal });
    await device.prepared();
    return { network, dispose: () => arena.dispose() };
  } catch (cause) {
    arena.dispose();
    throw cause;
  }
}
