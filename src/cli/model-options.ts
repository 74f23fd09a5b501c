import { existsSync } from "node:fs";
import { basename } from "node:path";
import { OptionError } from "../base/errors.js";
import type { StorageDtype } from "../layers/weights.js";
import type { DtypeByPart } from "../models/llava-onevision/dtype-by-part.js";
import type { LoadOptions } from "../models/llava-onevision.js";
import { Device } from "../runtime/device.js";
import type { Arguments, CommandOptions } from "./command.js";
import { note } from "./note.js";
import { tinyCheckpoint } from "./tiny-checkpoint.js";

/** Where the examples of help and notes download a model from. */
export const EXAMPLE_ID = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf";
/** Names of the embedded checkpoint. */
const EMBEDDED = ["ocellus/tiny", "@ocellus/tiny"];

export const CACHE_DTYPES = ["auto", "f32", "f16", "q8"];
const DTYPES = ["auto", "f32", "f16", "bf16", "q8", "q4"];

/** Options that select a version of a hub id. */
export const HUB_OPTIONS: CommandOptions = {
  revision: { value: "NAME", help: "branch, tag or commit of the hub id (main)", rare: true },
  refresh: { help: "resolve the branch on the hub again, even if it is cached", rare: true },
  offline: { help: "use the cache folder only (HF_HUB_CACHE, HF_HOME)", rare: true },
};

export const DTYPE_OPTION: CommandOptions = {
  dtype: {
    value: "TYPE",
    help: "weights as auto, f32, f16, bf16, q8 or q4; or by part, for example vision=f16,language=q4",
    offers: DTYPES,
  },
};

export const MODEL_OPTION: CommandOptions = {
  model: { value: "WHERE", help: "folder, hub id (org/name) or URL; a toy if not given", path: true },
};

export const ADAPTER_OPTIONS: CommandOptions = {
  adapter: {
    value: "WHERE[=W]",
    help: "LoRA adapter of PEFT: folder or hub id, with a weight; may be given several times",
    multiple: true,
    path: true,
    rare: true,
  },
  merge: { help: "merge adapters into the weights instead of keeping them apart", rare: true },
};

/** Options that say how much of a model is on the GPU. */
export const MEMORY_OPTIONS: CommandOptions = {
  "memory-budget": { value: "SIZE", help: "most memory on the GPU, such as 6GB or 512MiB", rare: true },
  weights: {
    value: "HOW",
    help: "layers on the GPU (resident), or read again for each token where they do not fit (auto, stream)",
    choices: ["auto", "resident", "stream"],
    rare: true,
  },
};

/** How much of what is read again stays in memory. */
const HOST_OPTION: CommandOptions = {
  "host-budget": {
    value: "SIZE",
    help: "memory in which layers that are read again are kept, such as 4GB",
    rare: true,
  },
};

/** Options of commands that load a model. */
export const MODEL_OPTIONS: CommandOptions = {
  ...MODEL_OPTION,
  ...DTYPE_OPTION,
  ...ADAPTER_OPTIONS,
  ...MEMORY_OPTIONS,
  ...HOST_OPTION,
  devices: {
    value: "A,B",
    help: "adapters that share the layers, by the numbers or names that `ocellus doctor` lists",
    rare: true,
  },
  ...HUB_OPTIONS,
};

/** Returns the location that was given; the embedded checkpoint's if it was named, or if none was. */
export function estimatedLocation(given: string | undefined): string {
  if (given === undefined) return tinyCheckpoint();
  return EMBEDDED.includes(given) && !existsSync(given) ? tinyCheckpoint() : given;
}

/** The same for a model that answers: a note says that it is the toy where none was given. */
export function modelLocation(given: string | undefined): string {
  if (given !== undefined) return estimatedLocation(given);
  const toy = tinyCheckpoint();
  note(
    "No model was given: the embedded toy answers. It was trained on drawings of a few shapes, knows nothing of photographs, and is often\n" +
      `wrong. A real model is one option away, and is downloaded once (1.8 GB): --model ${EXAMPLE_ID} --dtype q8`,
  );
  return toy;
}

/** The name of a model in requests: its hub id, or its folder's name. */
export function servedName(location: string): string {
  return /^[\w.-]+\/[\w.-]+$/.test(location) ? location : basename(location.replace(/\/+$/, ""));
}

/** Reads `--dtype q4` or `--dtype vision=q8,language=q4`; the model checks the names. Throws OptionError. */
export function dtypeOption(given: Arguments): Pick<LoadOptions, "dtype"> {
  const text = given.value("dtype");
  if (text === undefined) return {};
  if (!text.includes("=")) return { dtype: text as StorageDtype };
  const parts = new Map<string, string>();
  for (const pair of text.split(",")) {
    const [part = "", type = "", ...more] = pair.split("=").map((word) => word.trim());
    if (part === "" || type === "" || more.length > 0 || parts.has(part)) {
      throw new OptionError({
        where: `${given.where}, --dtype`,
        expected: "PART=TYPE, each part once",
        got: parts.has(part) ? `${part} twice` : pair || "nothing after a comma",
        remedy: "for example --dtype vision=f16,language=q4",
      });
    }
    parts.set(part, type);
  }
  return { dtype: Object.fromEntries(parts) as Partial<DtypeByPart> };
}

/** Reads `--adapter WHERE` or `--adapter WHERE=0.5`, any number of them, and `--merge`. */
export function adapterOption(given: Arguments): Pick<LoadOptions, "adapter" | "mergeAdapters"> {
  const adapter = given.values("adapter").map((text) => {
    const [, from, weight] = /^(.+)=(-?(?:\d+\.?\d*|\.\d+))$/.exec(text) ?? [];
    return from === undefined ? { from: text } : { from, weight: Number(weight) };
  });
  if (adapter.length > 0) return { adapter, mergeAdapters: given.has("merge") };
  if (!given.has("merge")) return {};
  throw new OptionError({
    where: `${given.where}, --merge`,
    expected: "--adapter beside it",
    got: "none",
    remedy: "add --adapter WHERE, or leave --merge out",
  });
}

/** The adapters of `--devices 0,1`; none if it was not given. Throws OptionError. */
export function devicesGiven(given: Arguments): readonly string[] {
  const text = given.value("devices");
  if (text === undefined) return [];
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return names;
  throw new OptionError({
    where: `${given.where}, --devices`,
    expected: "numbers or names of adapters with commas between them",
    got: text,
    remedy: "give for example 0,1; `ocellus doctor` lists the adapters",
  });
}

/** Opens the adapters of `--devices`, which stay open until the process ends. Throws OptionError, NoAdapterError. */
export async function openDevices(names: readonly string[]): Promise<Pick<LoadOptions, "devices" | "onDeviceLost">> {
  if (names.length === 0) return {};
  const devices: Device[] = [];
  try {
    for (const name of names) devices.push(await Device.open({ adapter: /^\d+$/.test(name) ? Number(name) : name }));
  } catch (cause) {
    for (const device of devices) device.dispose();
    throw cause;
  }
  return { devices, onDeviceLost: "fail" };
}

/** {@link loadOptions} with the devices of `--devices`, opened: for a process that has the model itself. */
export async function openOptions(
  given: Arguments,
): Promise<ModelLoadOptions & Awaited<ReturnType<typeof openDevices>>> {
  return { ...loadOptions(given), ...(await openDevices(devicesGiven(given))) };
}

/** Requests that `serve` and `batch` answer at once, if not given. */
export const MAX_SEQUENCES = 8;

/** Reads the options that say how a model is loaded ({@link MODEL_OPTIONS} but for the model itself). */
export function loadOptions(given: Arguments): ModelLoadOptions {
  return { ...dtypeOption(given), ...adapterOption(given), ...memoryOptions(given), ...hubOptions(given) };
}

/** Reads `--memory-budget 6GB`, `--weights auto` and `--host-budget 4GB`. */
function memoryOptions(given: Arguments): Pick<LoadOptions, "memoryBudget" | "weights" | "hostBudget"> {
  const memoryBudget = bytesOption(given, "memory-budget");
  const weights = given.value("weights") as LoadOptions["weights"];
  const hostBudget = bytesOption(given, "host-budget");
  return {
    ...(memoryBudget !== undefined && { memoryBudget }),
    ...(weights !== undefined && { weights }),
    ...(hostBudget !== undefined && { hostBudget }),
  };
}

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Reads a size such as `6GB`, `1.5GiB` or a number of bytes. Throws OptionError. */
export function bytesOption(given: Arguments, name: string): number | undefined {
  const text = given.value(name);
  if (text === undefined) return undefined;
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(amount) * (UNITS[unit.toUpperCase() || "B"] ?? 0));
  if (bytes > 0) return bytes;
  throw new OptionError({
    where: `${given.where}, --${name}`,
    expected: "a size above 0",
    got: text,
    remedy: "give for example 6GB, 512MiB or 6000000000",
  });
}

/** Options of loading that the command line gives. */
export type ModelLoadOptions = Pick<
  LoadOptions,
  | "dtype"
  | "adapter"
  | "mergeAdapters"
  | "memoryBudget"
  | "weights"
  | "hostBudget"
  | "prefillMs"
  | "revision"
  | "refresh"
  | "offline"
>;

/** Reads `--revision`, `--refresh` and `--offline`. */
export function hubOptions(given: Arguments): Pick<LoadOptions, "revision" | "refresh" | "offline"> {
  const revision = given.value("revision");
  return {
    ...(revision !== undefined && { revision }),
    ...(given.has("refresh") && { refresh: true }),
    ...(given.has("offline") && { offline: true }),
  };
}
