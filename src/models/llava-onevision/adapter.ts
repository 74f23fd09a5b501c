/**
 * LoRA adapters in PEFT's format: a folder or repository with `adapter_config.json` and `adapter_model.safetensors`. Modules are named as in
 * transformers 4 or 5 or in the original code, whatever names the checkpoint has.
 */
import { CheckpointError, OptionError, shown, throwIfAborted } from "../../base/errors.js";
import { isObject } from "../../base/is-object.js";
import {
  type CheckpointLocation,
  type CheckpointOptions,
  type IndexedTensor,
  openCheckpoint,
  readLoraConfig,
  type TensorIndex,
} from "../../io/checkpoint.js";
import { LowRankAdapter, type LowRankPair } from "../../layers/low-rank.js";
import { storedType } from "../../layers/weights.js";
import { widen } from "../../layers/widen.js";
import { type Layout, moduleOf } from "./tensor-names.js";

/** An adapter to load. */
export interface AdapterOption {
  /** Folder, hub id, URL or files of the adapter. */
  readonly from: CheckpointLocation;
  /** Name for `createSession({ adapters })`; the last part of the location if not given. */
  readonly name?: string | undefined;
  /** Factor of what the adapter adds (1). */
  readonly weight?: number | undefined;
}

/** What an adapter changes. */
export interface LoadedAdapter {
  /** Additions to the decoder's layers, kept apart from the weights. */
  readonly lowRank: LowRankAdapter;
  /** Additions to other modules, by checkpoint name of the module: they are merged into the weights. */
  readonly merged: ReadonlyMap<string, LowRankPair>;
  /** Tensors that replace those of the checkpoint (`modules_to_save`), by checkpoint name; read from `index`. */
  readonly replaced: ReadonlyMap<string, IndexedTensor>;
  readonly index: TensorIndex;
}

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** Bytes of an adapter's file that are read: rank 256 for all matrices of 72B is 13 GB, which belongs into a merged checkpoint. */
const MOST_BYTES = 2 ** 31;

/** An adapter to load, with its name and weight. */
type NamedAdapter = Pick<AdapterOption, "from"> & { readonly name: string; readonly weight: number };

/** Normalises the option `adapter`. Throws OptionError. */
export function adapterOptions(given: unknown): NamedAdapter[] {
  const list =
    given === undefined ? [] : Array.isArray(given) && !given.every((one) => one instanceof Blob) ? given : [given];
  const options = list.map((one): NamedAdapter => {
    const {
      from,
      name,
      weight = 1,
    } = isObject(one) && "from" in one ? (one as unknown as AdapterOption) : { from: one as CheckpointLocation };
    if (typeof weight !== "number" || !Number.isFinite(weight)) {
      throw new OptionError({
        where: "LlavaOneVision.load, adapter.weight",
        expected: "a number",
        got: shown(weight),
        remedy: "leave it out for 1",
      });
    }
    return { from, weight, name: name ?? nameOf(from) };
  });
  for (const [i, { name }] of options.entries()) {
    if (options.findIndex((other) => other.name === name) === i) continue;
    throw new OptionError({
      where: "LlavaOneVision.load, adapter",
      expected: "adapters of different names",
      got: `two named ${name}`,
      remedy: 'name them: [{ from: "a/lora", name: "a" }, { from: "b/lora", name: "b" }]',
    });
  }
  return options;
}

/** The last part of a path, id or URL. */
function nameOf(location: CheckpointLocation): string {
  if (typeof location !== "string" && !(location instanceof URL)) return "adapter";
  return (
    String(location)
      .replace(/[\\/]+$/, "")
      .split(/[\\/]/)
      .at(-1) || "adapter"
  );
}

/** Opens and reads an adapter for a checkpoint with this layout. `merge`: all of it is merged. Throws CheckpointError, SourceError, AbortedError. */
export async function readAdapter(
  { from, name, weight }: NamedAdapter,
  layout: Layout,
  merge: boolean,
  options: CheckpointOptions,
): Promise<LoadedAdapter> {
  const files = await openCheckpoint(from, options);
  const json = await files.json(CONFIG);
  if (json === undefined) throw await noAdapter(files.name, await files.has("non_lora_trainables.bin"));
  const config = readLoraConfig(json, `${files.name}: ${CONFIG}`);
  const index = await files.tensors(WEIGHTS);
  try {
    const where = `${files.name}: ${WEIGHTS}`;
    if (index.sizeBytes > MOST_BYTES) {
      throw new CheckpointError({
        where,
        expected: `at most ${MOST_BYTES} bytes`,
        got: `${index.sizeBytes}`,
        remedy: "merge the adapter with PEFT's merge_and_unload, and load the merged checkpoint",
      });
    }
    const halves = new Map<string, { module: string; peft: string; a?: IndexedTensor; b?: IndexedTensor }>();
    const replaced = new Map<string, IndexedTensor>();
    for (const [full, tensor] of index.entries) {
      const [, path, half] = /^(?:base_model\.model\.)?(.+?)(?:\.lora_([AB])(?:\.default)?\.weight)?$/.exec(full)!;
      if (half === undefined) {
        replaced.set(savedName(path!, layout, where), tensor);
        continue;
      }
      const module = moduleOf(path!, layout);
      if (module === undefined) throw foreign(where, full);
      const pair = halves.get(module) ?? { module, peft: path! };
      pair[half === "A" ? "a" : "b"] = tensor;
      halves.set(module, pair);
    }
    const read = async (tensor: IndexedTensor): Promise<Float32Array> => {
      const type = storedType(tensor);
      if (type !== "f32" && type !== "f16" && type !== "bf16") {
        throw new CheckpointError({
          where: `${where}: ${tensor.entry.name}`,
          expected: "F32, F16 or BF16",
          got: tensor.entry.dtype,
          remedy: "save the adapter in one of these types",
        });
      }
      return widen(await index.read(tensor, 0, tensor.entry.lengthBytes, options.signal), type);
    };
    const own = new Map<string, LowRankPair>();
    const merged = new Map<string, LowRankPair>();
    for (const { module, peft, a, b } of halves.values()) {
      throwIfAborted(options.signal, `loading ${name}`);
      const [rank, inner] = a?.entry.shape ?? [];
      const [columns, other] = b?.entry.shape ?? [];
      if (!a || !b || !rank || !inner || !columns || rank !== other) {
        throw new CheckpointError({
          where: `${where}: ${module}`,
          expected: "lora_A [rank, inner] and lora_B [columns, rank]",
          got: `${a ? `[${a.entry.shape}]` : "none"} and ${b ? `[${b.entry.shape}]` : "none"}`,
          remedy: "save the adapter with PEFT's save_pretrained",
        });
      }
      const scale = weight * config.scaleOf(peft, rank);
      const isApart = !merge && module.startsWith(`${layout.language}.layers.`);
      (isApart ? own : merged).set(module, { a: await read(a), b: await read(b), rank, inner, columns, scale });
    }
    const besides = { modules: [...merged.keys()], replaced: [...replaced.keys()] };
    return { lowRank: new LowRankAdapter(name, own, besides), merged, replaced, index };
  } catch (cause) {
    await index.close();
    throw cause;
  }
}

/** Whether an adapter brings the projector whole (`modules_to_save`): it is trained further with the adapter. Reads the config alone. */
export async function savesProjector(from: CheckpointLocation, options: CheckpointOptions = {}): Promise<boolean> {
  const json = await (await openCheckpoint(from, options)).json(CONFIG);
  const saved = isObject(json) ? json.modules_to_save : undefined;
  return Array.isArray(saved) && saved.some((name) => /(^|[._])projector([._]|$)/.test(String(name)));
}

/** The checkpoint's name of a tensor that an adapter brings whole. Throws CheckpointError for one of another kind of adapter. */
function savedName(path: string, layout: Layout, where: string): string {
  const [, module, last] = /^(.+)\.(weight|bias)$/.exec(path) ?? [];
  const known =
    module !== undefined && !/lora_|magnitude|adalora|ia3/.test(path) ? moduleOf(module, layout) : undefined;
  if (known !== undefined) return `${known}.${last}`;
  if (/(^|\.)image_newline$/.test(path)) return layout.newline;
  throw foreign(where, path);
}

function foreign(where: string, name: string): CheckpointError {
  return new CheckpointError({
    where,
    expected: "lora_A and lora_B of the model's modules, or whole modules (modules_to_save)",
    got: `tensor ${name}`,
    remedy: "merge the adapter with PEFT's merge_and_unload, and load the merged checkpoint",
  });
}

function noAdapter(name: string, isPickle: boolean): CheckpointError {
  return new CheckpointError({
    where: `${name}: ${CONFIG}`,
    expected: "a folder that PEFT's save_pretrained wrote",
    got: isPickle ? "none, and non_lora_trainables.bin, a pickle, which is not read" : "no such file",
    remedy: isPickle
      ? "merge the adapter with the code that trained it, and load the merged checkpoint"
      : "give the folder or hub id of an adapter with adapter_config.json",
  });
}
