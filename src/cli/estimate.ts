import { OptionError } from "../base/errors.js";
import type { CacheType } from "../kernels/kv-format.js";
import { type Estimate, type EstimateOptions, estimate as estimateModel } from "../models/sizing/estimate.js";
import { type Arguments, parse } from "./arguments.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { tinyCheckpoint } from "./tiny-checkpoint.js";

const HELP = `ocellus estimate [options] [MODEL]

Estimates a model's download size and GPU memory from its config files and the headers of its weights. Nothing is downloaded, and no
adapter is opened. MODEL is a checkpoint folder, hub id (org/name) or URL (the embedded tiny one if not given).

  --dtype TYPE            storage dtype of weights: auto, f32, f16, bf16, q8, q4; or by part: vision=q8,language=q4
                          (parts: vision, projector, language, embed)
  --cache-dtype TYPE      storage dtype of the KV cache: auto (f32), f32, f16 or q8
  --context N             tokens of prompt and answer (8192, or the model's context length if less)
  --tiles N               tiles of a picture or frames of a clip (the model's maximum); 0 for text only
  --revision NAME         branch, tag or commit of the hub id (main)
  --refresh               resolve the branch on the hub again, even if it is cached
  --offline               load the hub id from the cache folder only (HF_HUB_CACHE, HF_HOME)
  --json                  one object on standard output, sizes in bytes
  --debug                 stack traces
`;

const OPTIONS = {
  dtype: { type: "string" },
  "cache-dtype": { type: "string" },
  context: { type: "string" },
  tiles: { type: "string" },
  revision: { type: "string" },
  refresh: { type: "boolean" },
  offline: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** Prints the estimate of a model. */
export async function estimate(args: string[]): Promise<void> {
  const given = parse("estimate", args, OPTIONS);
  if (given.has("help")) {
    process.stdout.write(HELP);
    return;
  }
  const [model = tinyCheckpoint(), ...more] = given.positionals;
  if (more.length > 0) {
    throw new OptionError({
      where: "ocellus estimate",
      expected: "one model",
      got: given.positionals.join(" "),
      remedy: "put quotes round a path with spaces",
    });
  }
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once("SIGINT", stop);
  const found = await estimateModel(model, { ...options(given), signal: abort.signal }).finally(() =>
    process.off("SIGINT", stop),
  );
  process.stdout.write(given.has("json") ? `${JSON.stringify(found)}\n` : table(model, found));
}

function options(given: Arguments): EstimateOptions {
  const contextTokens = given.count("context");
  const cacheDtype = given.value("cache-dtype");
  const tiles = given.value("tiles");
  return {
    ...dtypeOption(given),
    ...hubOptions(given),
    ...(cacheDtype !== undefined && { cacheDtype: cacheDtype as CacheType }),
    ...(contextTokens !== undefined && { contextTokens }),
    ...(tiles !== undefined && { tiles: Number(tiles) }),
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
    ["limits", `maxStorageBufferBindingSize ${count(e.limits.maxStorageBufferBindingSize)}, maxBufferSize alike`],
    ["features", `none required; used if available: ${e.features.useful.join(", ")}`],
  ];
  return rows
    .map(([name, value, note]) => `${name.padEnd(15)} ${note === undefined ? value : `${value.padEnd(12)} ${note}`}\n`)
    .join("");
}

function size(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}
