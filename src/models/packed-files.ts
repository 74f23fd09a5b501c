import type { CheckpointLocation } from "../io/checkpoint.js";
import { LayerHash, type LayerRange, type PackedContent, PackedFileLayout } from "../io/packed.js";
import { PackedMatrix } from "../kernels/packed.js";
import { type Target, targetsOf } from "../layers/packed-layers.js";
import {
  type ConversionSource,
  type ConvertOptions,
  divide,
  openSource,
  shardIndex,
  shardName,
} from "./conversion-source.js";
import type { ConvertedFile } from "./converted-file.js";
import { copiedFiles, textFile } from "./converted-files.js";
import type { Layout } from "./llava-onevision/tensor-names.js";
import { packedChunks } from "./packed-chunks.js";

/** A layer of a packed checkpoint that is being written. */
export interface PlannedLayer extends LayerRange {
  /** Reads and packs the layer's weights: the bytes of its range in order. */
  chunks(): AsyncGenerator<Uint8Array>;
}

/** A file of weights. Its header has the hashes of its layers, so it is written last. */
export interface PlannedFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly layers: readonly PlannedLayer[];
  /** Returns the bytes before the first layer. `hashes`: of each layer, as `LayerHash` computes them. */
  header(hashes: readonly string[]): Uint8Array;
}

/** A packed checkpoint to write. */
export interface PackedPlan {
  /** Identifies source, storage dtypes and format: layers that were written under another id are of no use. */
  readonly id: string;
  readonly files: readonly PlannedFile[];
  /** Yields the files without weights. */
  texts(): AsyncGenerator<ConvertedFile>;
  close(): Promise<void>;
}

interface Layer {
  readonly name: string;
  readonly tensors: readonly PackedContent[];
  readonly targets: readonly Target[];
}

/** Bytes of a tensor that are compared with those of an interrupted conversion, and the number of such tensors. */
const SAMPLE_BYTES = 4096;
const SAMPLES = 64;

/**
 * Plans the packed form of a checkpoint: the bytes that each file will have at each place. Weights are read and packed when
 * {@link PlannedLayer.chunks} is read, some panels of one matrix at a time. Throws as `LlavaOneVision.load` does.
 */
export async function planPacked(location: CheckpointLocation, options: ConvertOptions): Promise<PackedPlan> {
  const source = await openSource(location, options);
  try {
    const shards = divide(layersOf(source), bytesOf, source.shardBytes);
    const layouts: PackedFileLayout[] = [];
    const files: PlannedFile[] = [];
    let firstLayer = 0;
    for (const [i, layers] of shards.entries()) {
      const layout = new PackedFileLayout(layers, firstLayer);
      firstLayer += layers.length;
      layouts.push(layout);
      files.push({
        name: shardName(i, shards.length),
        sizeBytes: layout.sizeBytes,
        layers: layout.layers.map((range, j) => {
          const chunks = () => layerChunks(layers[j]!, source, options.signal);
          return { ...range, chunks };
        }),
        header: (hashes) => layout.header(hashes),
      });
    }
    const id = await identify(source, files, options.signal);
    return { id, files, texts: () => texts(source, layouts), close: source.close };
  } catch (cause) {
    await source.close();
    throw cause;
  }
}

/** Yields the files of the packed form of a checkpoint, each from its beginning to its end. Throws as `planPacked` does. */
export async function* packedCheckpoint(
  location: CheckpointLocation,
  options: ConvertOptions,
): AsyncGenerator<ConvertedFile, void, undefined> {
  const plan = await planPacked(location, options);
  try {
    for (const file of plan.files) yield { name: file.name, sizeBytes: file.sizeBytes, chunks: inOrder(file) };
    yield* plan.texts();
  } finally {
    await plan.close();
  }
}

/** The bytes of a file in their order. Its header comes first, for which all layers are packed once before. */
async function* inOrder({ layers, header }: PlannedFile): AsyncGenerator<Uint8Array> {
  const hashes: string[] = [];
  for (const { chunks } of layers) {
    const hash = new LayerHash();
    for await (const chunk of chunks()) await hash.add(chunk);
    hashes.push(await hash.hex());
  }
  const head = header(hashes);
  yield head;
  let at = head.length;
  for (const { offsetBytes, lengthBytes, chunks } of layers) {
    if (offsetBytes > at) yield new Uint8Array(offsetBytes - at);
    yield* chunks();
    at = offsetBytes + lengthBytes;
  }
}

/** The layers in the order of the model's constructors, which is that of a pass. */
function layersOf({ config, loader }: ConversionSource): Layer[] {
  const layers: { name: string; tensors: PackedContent[]; targets: Target[] }[] = [];
  for (const target of targetsOf(loader.requests)) {
    const { memory, parts } = target;
    const name = layerName(memory.label, config.layout);
    if (layers.at(-1)?.name !== name) layers.push({ name, tensors: [], targets: [] });
    const stored = parts.map(({ name, shape, interleave }) => ({ name, shape, interleave }));
    const kind = memory instanceof PackedMatrix ? { type: memory.type, inner: memory.inner } : { type: "f32" as const };
    layers.at(-1)!.tensors.push({ name: memory.label, ...kind, parts: stored });
    layers.at(-1)!.targets.push(target);
  }
  return layers;
}

/**
 * Returns the name of the layer that a tensor belongs to: `model.layers.0` and the like, the embeddings of the vision tower, the
 * projector; the tensor itself for the tables and what lies between.
 */
export function layerName(label: string, { vision, projector }: Pick<Layout, "vision" | "projector">): string {
  const [block] = /^.*?\.layers\.\d+(?=\.)/.exec(label) ?? [];
  if (block !== undefined) return block;
  if (label.startsWith(`${vision}.embeddings.`)) return `${vision}.embeddings`;
  if (projector.some((name) => label.startsWith(name))) return projector[0].slice(0, projector[0].lastIndexOf("."));
  return label;
}

function bytesOf(layer: Layer): number {
  return new PackedFileLayout([layer], 0).layers[0]!.lengthBytes;
}

async function* layerChunks(
  { targets }: Layer,
  { index, device }: ConversionSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for (const target of targets) yield* packedChunks(target, index, device, signal);
}

/**
 * Hashes what determines the bytes of the result: the plan, the source's headers, and samples of its tensors, because a fine-tune that has
 * taken the place of another differs in them only.
 */
async function identify(
  { index }: ConversionSource,
  files: readonly PlannedFile[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const tensors = [...index.entries.values()];
  const entries = tensors.map(({ entry, quantized, source }) => ({ ...entry, quantized, file: source.name }));
  const plan = files.map(({ name, sizeBytes, layers }) => ({ name, sizeBytes, layers }));
  const hash = new LayerHash();
  await hash.add(new TextEncoder().encode(JSON.stringify({ plan, entries })));
  const step = Math.ceil(tensors.length / SAMPLES);
  for (const [i, stored] of tensors.entries()) {
    if (i % step > 0) continue;
    await hash.add(await index.read(stored, 0, Math.min(SAMPLE_BYTES, stored.entry.lengthBytes), signal));
  }
  return hash.hex();
}

async function* texts(source: ConversionSource, layouts: readonly PackedFileLayout[]): AsyncGenerator<ConvertedFile> {
  if (layouts.length > 1) {
    const totalBytes = layouts.flatMap(({ layers }) => layers).reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const names = layouts.map(({ names }) => names);
    yield textFile("model.safetensors.index.json", shardIndex(names, totalBytes));
  }
  yield* copiedFiles(source.files);
}
