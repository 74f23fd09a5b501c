import type { TensorIndex } from "../io/checkpoint.js";
import { inFileOrder, type QuantizedMatrix, quantizedMetadata, safetensorsHeader } from "../io/safetensors.js";
import type { LowRankPair } from "../layers/low-rank.js";
import { readAdapterPairs } from "../training/lora.js";
import type { NamedParameter } from "../training/parameters.js";
import { readParameter } from "../training/read-parameter.js";
import { COPIED_FILES, type ConvertedFile, textFile } from "./converted-files.js";
import type { Network } from "./llava-onevision/network.js";
import type { WeightsSource } from "./loaded-parts.js";

/** Bytes of a chunk that is copied. */
const CHUNK_BYTES = 2 ** 22;

/** A tensor of a file, and its bytes. */
interface Written {
  readonly name: string;
  readonly dtype: "F32";
  readonly shape: readonly number[];
  chunks(): AsyncIterable<Float32Array>;
}

/**
 * Yields the files of a trained adapter in PEFT's format: `adapter_config.json` and `adapter_model.safetensors` in f32, with the projector
 * as `modules_to_save` if it was trained. Modules are named as in transformers, or as in the original code for its checkpoints.
 */
export async function* adapterFiles(
  { language }: Pick<Network, "language">,
  source: Pick<WeightsSource, "config" | "files">,
  name: string,
  saved: readonly NamedParameter[],
  dropout: number,
): AsyncGenerator<ConvertedFile> {
  const { layout } = source.config;
  const isOriginal = layout.language === "model";
  const root = isOriginal ? "model" : "model.language_model";
  const path = (module: string): string => `${root}${module.slice(layout.language.length)}`;
  const pairs = await readAdapterPairs(language, name);
  const tensors: Written[] = [...pairs].flatMap(([module, { a, b, rank, inner, columns }]) => [
    written(`base_model.model.${path(module)}.lora_A.weight`, [rank, inner], a),
    written(`base_model.model.${path(module)}.lora_B.weight`, [columns, rank], b),
  ]);
  const projector = isOriginal ? "mm_projector" : "multi_modal_projector";
  for (const named of saved) {
    const last = isOriginal
      ? named.name.replace(/^.*mm_projector\./, "")
      : savedProjector(named.name, layout.projector);
    tensors.push(await saveable(`base_model.model.model.${projector}.${last}`, named));
  }
  const config = peftConfig(pairs, path, root, source.files.name, saved.length > 0 ? [projector] : null, dropout);
  yield textFile("adapter_config.json", `${JSON.stringify(config, undefined, 2)}\n`);
  yield safetensorsFile("adapter_model.safetensors", tensors);
}

/** `linear_1.weight` and the like, from the checkpoint's name of a tensor of the projector. */
function savedProjector(name: string, layers: readonly [string, string]): string {
  const i = layers.findIndex((layer) => name.startsWith(`${layer}.`));
  return `linear_${i + 1}.${name.slice(layers[i]!.length + 1)}`;
}

function written(name: string, shape: readonly number[], values: Float32Array): Written {
  return {
    name,
    dtype: "F32",
    shape,
    async *chunks() {
      yield values;
    },
  };
}

async function saveable(name: string, named: NamedParameter): Promise<Written> {
  const { parameter, rows } = named;
  const shape = "blocks" in parameter ? [rows ?? parameter.columns, parameter.inner] : [rows ?? parameter.length];
  return { name, dtype: "F32", shape, chunks: () => readParameter(named) };
}

/** The config of PEFT that describes these pairs. */
function peftConfig(
  pairs: ReadonlyMap<string, LowRankPair>,
  path: (module: string) => string,
  root: string,
  base: string,
  saved: readonly string[] | null,
  dropout: number,
): Record<string, unknown> {
  const [first] = pairs.values();
  const { rank, scale } = first!;
  const alpha = scale * rank;
  const other = [...pairs].filter(([, pair]) => pair.rank !== rank || pair.scale * pair.rank !== alpha);
  const pattern = (of: (pair: LowRankPair) => number): Record<string, number> =>
    Object.fromEntries(other.map(([module, pair]) => [path(module).replaceAll(".", "\\."), of(pair)]));
  const modules = [...new Set([...pairs.keys()].map((module) => module.slice(module.lastIndexOf(".") + 1)))];
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: dropout,
    bias: "none",
    target_modules: `${root.replaceAll(".", "\\.")}\\.layers\\.\\d+\\.(self_attn|mlp)\\.(${modules.join("|")})`,
    rank_pattern: pattern((pair) => pair.rank),
    alpha_pattern: pattern((pair) => pair.scale * pair.rank),
    modules_to_save: saved,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_dora: false,
    use_rslora: false,
  };
}

/**
 * Yields the files of a checkpoint with the weights as they are on the device: trained ones in f32, others as they were stored, under the
 * names of the checkpoint that was loaded. `index`: its tensors, open until the files are read.
 */
export async function* checkpointFiles(
  source: Pick<WeightsSource, "config" | "files">,
  index: TensorIndex,
  trained: readonly NamedParameter[],
): AsyncGenerator<ConvertedFile> {
  const { layout } = source.config;
  const named = new Map(trained.map((one) => [one.name, one]));
  const matrices = new Map<string, QuantizedMatrix>();
  const heads = [...index.entries].flatMap(([name, stored]) => {
    // A head that is tied to the embedding table would be another matrix after training.
    if (layout.ignored(name) && !name.startsWith(layout.vision)) return [];
    if (named.has(name)) return [{ name, dtype: "F32" as const, shape: index.shapes.get(name)! }];
    if (stored.quantized) matrices.set(name, stored.quantized);
    return [{ name, dtype: stored.entry.dtype, shape: stored.entry.shape }];
  });
  const ordered = inFileOrder(heads);
  const header = safetensorsHeader(ordered, { format: "pt", ...quantizedMetadata(matrices) });
  const sizes = ordered.map(({ name, dtype, shape }) =>
    dtype === "F32" ? 4 * shape.reduce((a, b) => a * b, 1) : index.entries.get(name)!.entry.lengthBytes,
  );
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const { name } of ordered) {
      const one = named.get(name);
      if (one) {
        for await (const values of readParameter(one)) yield bytesOf(values);
        continue;
      }
      const stored = index.entries.get(name)!;
      const { lengthBytes, shape } = stored.entry;
      const rowBytes = lengthBytes / (shape[0] ?? 1);
      const step = rowBytes * Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
      for (let at = 0; at < lengthBytes; at += step) {
        yield await index.read(stored, at, Math.min(step, lengthBytes - at));
      }
    }
  }
  const sizeBytes = sizes.reduce((sum, bytes) => sum + bytes, header.length);
  yield { name: "model.safetensors", sizeBytes, chunks: chunks() };
  for (const name of COPIED_FILES) {
    const text = await source.files.text(name);
    if (text !== undefined) yield textFile(name, text);
  }
}

function safetensorsFile(name: string, tensors: readonly Written[]): ConvertedFile {
  const header = safetensorsHeader(tensors, { format: "pt" });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const tensor of tensors) for await (const values of tensor.chunks()) yield bytesOf(values);
  }
  const sizeBytes = tensors.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), header.length);
  return { name, sizeBytes, chunks: chunks() };
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
