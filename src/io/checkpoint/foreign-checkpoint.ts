/** Errors for missing checkpoint files, which identify what the location contains instead. */

import { CheckpointError, OcellusError } from "../../base/errors.js";
import type { Place } from "../bytes/place.js";
import type { ByteSource } from "../bytes/source.js";
import { isJsonObject, parseJson } from "../text/json.js";
import { EXAMPLE_ID, type FileKind, HEAD_BYTES, kindByName, kindOf } from "./file-kind.js";
import { type Found, listed } from "./foreign-tensors.js";

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** Maximum files and folders that are inspected. */
const MOST_LOOKED_INTO = 32;
/** Configs of adapters and pipelines are a few kilobytes. */
const LONGEST_CONFIG = 1_000_000;

/** Detectors of other contents, most certain first. */
const LOOKS: readonly ((place: Place, names: readonly string[], wanted: string) => Promise<Found | undefined>)[] = [
  unfinished,
  adapter,
  pipeline,
  cacheFolder,
  tokenizer,
  looseWeights,
  subfolder,
  otherTool,
];

/** Returns the error for a missing file. `wanted`: its name; weights are `model.safetensors`. */
export async function missing(place: Place, wanted: string, expected = wanted): Promise<CheckpointError> {
  const found = await whatIsThere(place, wanted);
  return new CheckpointError({ where: place.name, expected, ...found });
}

async function whatIsThere(place: Place, wanted: string): Promise<Found> {
  const names = await place.list();
  if (names === undefined) return addressed(place, wanted);
  if (names.length === 0) {
    return { got: "no files: the folder is empty", remedy: "download the checkpoint into it, or check the location" };
  }
  for (const look of LOOKS) {
    const found = await look(place, names, wanted);
    if (found) return found;
  }
  const got = `no such file beside ${listed(names)}`;
  const isCheckpoint = names.includes(WEIGHTS) || names.includes("config.json");
  const remedy = isCheckpoint
    ? "download the whole checkpoint"
    : `give the folder of a checkpoint, for example ${EXAMPLE_ID}`;
  return { got, remedy };
}

/** URLs have no listing, so a few names are requested. */
async function addressed(place: Place, wanted: string): Promise<Found> {
  const got = place.answeredPage ? "a web page (HTML) in its place" : "no such file";
  for (const look of [adapter, pipeline]) {
    const found = await look(place, [], wanted);
    if (found) return found;
  }
  for (const name of wanted === WEIGHTS ? ["pytorch_model.bin", "pytorch_model.bin.index.json"] : []) {
    const kind = (await place.has(name)) ? kindByName(name) : undefined;
    if (kind) return { got: `${name}, ${kind.is}`, remedy: kind.remedy };
  }
  const own = await place.self?.();
  if (own) return fileInPlaceOfFolder(place.name, own);
  const remedy = place.answeredPage
    ? "give the address of the folder with the files themselves, or a hub id (org/name)"
    : "check the address; config.json and model.safetensors must lie under it";
  return { got, remedy };
}

/** Describes a file that was given instead of a folder. `head`: its first bytes. */
export function fileInPlaceOfFolder(name: string, head: Uint8Array): Found {
  const kind = kindOf(head) ?? kindByName(name);
  const isPart = /\.(safetensors|json|jinja|txt|model)$/i.test(name);
  if (isPart && (kind === undefined || kind.is === "a safetensors file")) {
    const folder = /^(.*)[\\/]/.exec(name)?.[1] || ".";
    return { got: kind ? `a file, ${kind.is}` : "a file", remedy: `give its folder, ${folder}` };
  }
  const remedy = "give the folder, URL or files that hold config.json and model.safetensors";
  return kind ? { got: `a file, ${kind.is}`, remedy: kind.remedy } : { got: "a file", remedy };
}

/** Names of unfinished downloads. */
export async function partialDownloads(place: Place): Promise<string[]> {
  const isPartial = (name: string): boolean =>
    /\.(incomplete|part|partial|crdownload|download|filepart|aria2|tmp)$/i.test(name);
  const names = (await place.list()) ?? [];
  const found = names.filter(isPartial);
  if (found.length > 0 || !names.includes(".cache")) return found;
  // Folder of unfinished downloads of `hf download --local-dir`.
  return ((await place.list(".cache/huggingface/download")) ?? []).filter(isPartial);
}

async function unfinished(place: Place): Promise<Found | undefined> {
  const found = await partialDownloads(place);
  if (found.length === 0) return undefined;
  return {
    got: `a download that is not finished (${listed(found)})`,
    remedy: "let the download finish, or start it again",
  };
}

async function adapter(place: Place, names: readonly string[]): Promise<Found | undefined> {
  const file = "adapter_config.json";
  if (names.length > 0 ? !names.includes(file) : !(await place.has(file))) return undefined;
  const config = await smallJson(place, file);
  const base = isJsonObject(config) ? config.base_model_name_or_path : undefined;
  const type = isJsonObject(config) && typeof config.peft_type === "string" ? config.peft_type : "LoRA";
  const name = typeof base === "string" && base !== "" ? base : "its base model";
  return {
    got: `an adapter (PEFT, ${type}) for ${name}`,
    remedy: `merge it into ${name} first, with PEFT: PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(folder); then give that folder, with the tokenizer's and processor's files`,
  };
}

async function pipeline(place: Place, names: readonly string[], wanted: string): Promise<Found | undefined> {
  const has = async (file: string): Promise<boolean> =>
    names.length > 0 ? names.includes(file) : wanted === "config.json" && (await place.has(file));
  if (await has("model_index.json")) {
    const config = await smallJson(place, "model_index.json");
    const name = isJsonObject(config) && typeof config._class_name === "string" ? ` (${config._class_name})` : "";
    return {
      got: `a diffusers pipeline${name}, which generates pictures`,
      remedy: `give a vision-language model, for example ${EXAMPLE_ID}`,
    };
  }
  if (names.includes("modules.json") && wanted === "config.json") {
    return {
      got: "a sentence-transformers model",
      remedy: `give a LLaVA-OneVision checkpoint, for example ${EXAMPLE_ID}`,
    };
  }
  if (names.includes("params.json") && names.some((name) => /^consolidated/.test(name))) {
    return {
      got: "a checkpoint in its original format (params.json, consolidated.*)",
      remedy: "give the transformers version, with config.json",
    };
  }
  if (names.includes("zero_to_fp32.py") || names.some((name) => /^global_step\d+$/.test(name))) {
    return {
      got: "a training state of DeepSpeed",
      remedy: "run its zero_to_fp32.py, then save the model with save_pretrained",
    };
  }
  return undefined;
}

async function cacheFolder(place: Place, names: readonly string[]): Promise<Found | undefined> {
  if (!names.includes("snapshots") || !names.includes("blobs")) return undefined;
  const [commit] = (await place.list("snapshots")) ?? [];
  const [, org, name] = /models--(.+?)--(.+?)[\\/]*$/.exec(place.name) ?? [];
  const id = org === undefined ? "the id, org/name" : `the id, ${org}/${name}`;
  return {
    got: "a repository's folder in the Hugging Face cache",
    remedy: commit === undefined ? `give ${id}` : `give ${id}, or the folder snapshots/${commit} within it`,
  };
}

async function tokenizer(_: Place, names: readonly string[], wanted: string): Promise<Found | undefined> {
  if (wanted !== "tokenizer.json") return undefined;
  const old = names.filter((name) => /^(vocab\.json|merges\.txt|tokenizer\.model|vocab\.txt)$/.test(name));
  if (old.length === 0) return undefined;
  return {
    got: `${old.join(" and ")}, a tokenizer in an older form`,
    remedy:
      "take tokenizer.json of the llava-hf repository of the same size, or save it with transformers: AutoTokenizer.from_pretrained(folder, use_fast=True).save_pretrained(folder)",
  };
}

async function looseWeights(_: Place, names: readonly string[], wanted: string): Promise<Found | undefined> {
  const weights = names.filter((name) => name.endsWith(".safetensors"));
  if (wanted !== WEIGHTS || weights.length === 0) return undefined;
  if (weights.some((name) => /-of-\d+\.safetensors$/.test(name))) {
    return { got: `shards without their index (${listed(weights)})`, remedy: `add ${INDEX}` };
  }
  return { got: listed(weights), remedy: `give a whole model; if one of these files is it, rename it to ${WEIGHTS}` };
}

/** A checkpoint in a subfolder. */
async function subfolder(place: Place, names: readonly string[], wanted: string): Promise<Found | undefined> {
  if (wanted === WEIGHTS && names.includes("config.json")) return undefined;
  const within = new Set(
    names.filter((name) => name.includes("/")).map((name) => name.slice(0, name.lastIndexOf("/"))),
  );
  const folders =
    within.size > 0 ? [...within] : names.filter((name) => !/^\.|\.(json|txt|md|safetensors|bin)$/.test(name));
  const found: string[] = [];
  for (const folder of folders.slice(0, MOST_LOOKED_INTO)) {
    if (await place.has(`${folder}/config.json`)) found.push(folder);
  }
  if (found.length === 0) return undefined;
  const path = /^(list of files|[\w.-]+\/[\w.-]+(@.*)?)$/.test(place.name)
    ? found[0]
    : `${place.name.replace(/[\\/]+$/, "")}/${found[0]}`;
  return {
    got: `a checkpoint in the ${found.length === 1 ? "subfolder" : "subfolders"} ${listed(found)}`,
    remedy: `give that folder: ${path}`,
  };
}

/** Files of other tools: by content if reading is free, else by name. */
async function otherTool(place: Place, names: readonly string[]): Promise<Found | undefined> {
  const known: { name: string; kind: FileKind }[] = [];
  const candidates = names.filter(
    (name) => !/\.(json|jinja|md|txt|py|safetensors)$/i.test(name) && !name.startsWith("."),
  );
  for (const name of candidates.slice(0, MOST_LOOKED_INTO)) {
    const head = place.downloads ? undefined : await headOf(place, name);
    const kind = (head && kindOf(head)) ?? kindByName(name);
    if (kind) known.push({ name, kind });
  }
  const listed = names.find((name) => /^(mlc-chat-config|pytorch_model\.bin\.index)\.json$/.test(name));
  const [first] = known;
  if (!first) {
    const kind = listed === undefined ? undefined : kindByName(listed);
    return kind && { got: `${listed}, ${kind.is}`, remedy: kind.remedy };
  }
  const more = known.length > 1 ? ` and ${known.length - 1} more` : "";
  return { got: `${first.name}, ${first.kind.is}${more}`, remedy: first.kind.remedy };
}

/** The first bytes of a file; undefined for a folder and for what cannot be read. */
async function headOf(place: Place, file: string): Promise<Uint8Array | undefined> {
  let source: ByteSource | undefined;
  try {
    source = await place.open(file);
    return source && (await source.read(0, Math.min(HEAD_BYTES, source.sizeBytes)));
  } catch (cause) {
    if (cause instanceof OcellusError && cause.code !== "ABORTED") return undefined;
    throw cause;
  } finally {
    await source?.close();
  }
}

/** Reads a small JSON file; undefined if it is not one. */
async function smallJson(place: Place, file: string): Promise<ReturnType<typeof parseJson> | undefined> {
  let source: ByteSource | undefined;
  try {
    source = await place.open(file);
    if (!source || source.sizeBytes > LONGEST_CONFIG) return undefined;
    return parseJson(new TextDecoder().decode(await source.read(0, source.sizeBytes)), file);
  } catch (cause) {
    if (cause instanceof OcellusError && cause.code !== "ABORTED") return undefined;
    throw cause;
  } finally {
    await source?.close();
  }
}
