import { bytesSource } from "../../src/io/bytes/source.js";
import { type TensorData, writeSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { openTensors, type TensorIndex } from "../../src/io/checkpoint/tensor-index.js";
import type { Adapters } from "../../src/layers/low-rank.js";
import { WeightLoader, type Weights } from "../../src/layers/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { normals } from "./random.js";

/** The index of a checkpoint of these tensors. */
export async function indexOf(
  tensors: readonly TensorData[],
  metadata: Record<string, string> = {},
): Promise<TensorIndex> {
  return indexOfFile(new Uint8Array(await new Blob(writeSafetensors(tensors, metadata) as BlobPart[]).arrayBuffer()));
}

/** The index of a checkpoint of one file. */
export async function indexOfFile(bytes: Uint8Array): Promise<TensorIndex> {
  const source = (file: string) => (file === "model.safetensors" ? bytesSource(bytes, file) : undefined);
  const place = {
    name: "checkpoint",
    list: async () => ["model.safetensors"],
    has: async (file: string) => source(file) !== undefined,
    open: async (file: string) => source(file),
  };
  return openTensors(place, undefined);
}

export function floatTensor(name: string, shape: readonly number[], values: Float32Array): TensorData {
  return { name, shape, dtype: "F32", bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** Random values of tensors by name. */
export function randomTensors<Name extends string>(
  shapes: Record<Name, readonly number[]>,
  scale = 0.3,
): Record<Name, Float32Array> {
  const names = Object.keys(shapes) as Name[];
  const made = names.map(
    (name, i) =>
      [
        name,
        normals(
          shapes[name].reduce((a, b) => a * b, 1),
          100 + i,
          scale,
        ),
      ] as const,
  );
  return Object.fromEntries(made) as Record<Name, Float32Array>;
}

/** Makes a layer of stored f32 tensors, loads it and frees it after `work`. */
export async function withLayer<Layer>(
  device: Device,
  shapes: Record<string, readonly number[]>,
  values: Record<string, Float32Array>,
  make: (weights: Weights) => Layer,
  work: (layer: Layer) => Promise<void>,
  adapters?: Adapters,
): Promise<void> {
  const index = await indexOf(Object.entries(shapes).map(([name, shape]) => floatTensor(name, shape, values[name]!)));
  const loader = new WeightLoader(device, index, adapters);
  const arena = device.arena("layer");
  try {
    const layer = arena.run(() => make(loader.root()));
    loader.check("layer", () => false);
    await loader.load({});
    await work(layer);
  } finally {
    arena.dispose();
  }
}

/** Columns `first` to `first + count` of rows of `stride`. */
export function columnsOf(x: ArrayLike<number>, stride: number, first: number, count: number): Float64Array {
  const rows = x.length / stride;
  return Float64Array.from(
    { length: rows * count },
    (_, i) => x[Math.floor(i / count) * stride + first + (i % count)]!,
  );
}
