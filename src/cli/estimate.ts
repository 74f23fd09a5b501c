import type { CacheType } from "../kernels/kv-format.js";
import { type Estimate, type EstimateOptions, estimate as estimateModel } from "../models/sizing/estimate.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import {
  bytesOption,
  CACHE_DTYPES,
  DTYPE_OPTION,
  dtypeOption,
  estimatedLocation,
  HUB_OPTIONS,
  hubOptions,
} from "./model-options.js";

/** Prints the estimate of a model. */
export const estimate: Command = {
  name: "estimate",
  usage: "[options] [MODEL]",
  about: `Estimates a model's download size and GPU memory from its config files and the headers
of its weights. Nothing is downloaded, and no adapter is opened. MODEL is a folder, hub
id (org/name) or URL (the embedded toy if not given).`,
  options: {
    ...DTYPE_OPTION,
    "cache-dtype": { value: "TYPE", help: "KV cache as auto (f32), f32, f16 or q8", offers: CACHE_DTYPES },
    context: { value: "N", help: "tokens of prompt and answer (8192, or the model's most)" },
    tiles: { value: "N", help: "tiles of a picture or frames of a clip (the model's most); 0 for text only" },
    "memory-budget": { value: "SIZE", help: "how many layers stay within 6GB, if others stream", rare: true },
    "read-rate": { value: "SIZE", help: "bytes a second that the disk reads, such as 3GB; or measured", rare: true },
    json: { help: "print one object, sizes in bytes" },
    ...HUB_OPTIONS,
  },
  positionalPaths: true,
  mostPositionals: 1,
  examples: ["ocellus estimate llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype q8"],
  run: print,
};

async function print(given: Arguments, interruption: Interruption): Promise<void> {
  const [model] = given.positionals;
  const wanted = options(given);
  const location = estimatedLocation(model);
  const found = await estimateModel(location, { ...wanted, signal: interruption.signal });
  process.stdout.write(given.has("json") ? `${JSON.stringify(found)}\n` : table(location, found));
}

function options(given: Arguments): EstimateOptions {
  const contextTokens = given.count("context");
  const cacheDtype = given.value("cache-dtype");
  const tiles = given.count("tiles", 0);
  const memoryBudget = bytesOption(given, "memory-budget");
  const rate = given.value("read-rate") === "measured" ? "measured" : bytesOption(given, "read-rate");
  return {
    ...dtypeOption(given),
    ...hubOptions(given),
    ...(cacheDtype !== undefined && { cacheDtype: cacheDtype as CacheType }),
    ...(contextTokens !== undefined && { contextTokens }),
    ...(tiles !== undefined && { tiles }),
    ...(memoryBudget !== undefined && { memoryBudget }),
    ...(rate !== undefined && { readBytesPerSecond: rate }),
  };
}

function table(model: string, e: Estimate): string {
  const { weights, download } = e;
  const medium = e.tiles > 0 ? `a medium of ${e.tiles} tiles (${e.visualTokens} tokens)` : "text only";
  const missing =
    download.missingBytes === download.totalBytes ? "all to be downloaded" : `${size(download.missingBytes)} missing`;
  const rows: [string, string, string?][] = [
    ["model", model],
    ["parameters", count(e.parameters)],
    ["files", size(download.totalBytes), download.missingBytes > 0 ? missing : "all here"],
    ["weights", size(e.weightsBytes)],
    ...Object.entries(weights).map(([part, bytes]): [string, string] => [`  ${part}`, size(bytes)]),
    ["KV cache", size(e.cacheBytes), `keys and values of ${count(e.contextTokens)} tokens`],
    ["vision cache", size(e.visionCacheBytes), "visual tokens of recent pictures, at most"],
    ["activations", size(e.activationBytes), `at most, with ${medium}`],
    ["on the adapter", size(e.totalBytes)],
    ["streaming", size(e.streaming.leastBytes), streamed(e.streaming)],
    ["limits", `maxStorageBufferBindingSize ${count(e.limits.maxStorageBufferBindingSize)}, maxBufferSize alike`],
    ["features", `none required; used if available: ${e.features.useful.join(", ")}`],
  ];
  return rows
    .map(([name, value, note]) => `${name.padEnd(15)} ${note === undefined ? value : `${value.padEnd(12)} ${note}`}\n`)
    .join("");
}

/** What is read where layers stream, and how long that takes at least. */
function streamed({ layers, residentLayers, everything, readBytes, readSeconds }: Estimate["streaming"]): string {
  const some = residentLayers > 0 ? `${layers - residentLayers} of ${layers} layers` : `${layers} layers`;
  const which = everything ? `${some} and the head` : some;
  const time = readSeconds === undefined ? "" : `, ${readSeconds.toPrecision(2)} s`;
  return `at least; reads ${which} for each token: ${size(readBytes)}${time}`;
}

function size(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}
