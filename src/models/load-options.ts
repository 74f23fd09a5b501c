import { OptionError, shown } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import { HUB_OPTIONS, type HubOptions } from "../io/checkpoint.js";
import type { CacheType } from "../kernels/kv-format.js";
import type { LoadProgress, StorageDtype } from "../layers/weights.js";
import { Device } from "../runtime/device.js";
import type { AdapterLocations } from "./llava-onevision/adapted-weights.js";
import type { DtypeByPart } from "./llava-onevision/dtype-by-part.js";
import type { DeviceShare } from "./sizing/device-shares.js";
import type { MemoryBudget, WeightsPlacement } from "./sizing/memory-budget.js";

/** Options of loading. {@link HubOptions} apply to hub ids (`org/name`) only. */
export interface LoadOptions extends HubOptions {
  /** An existing device; it is not disposed with the model. */
  device?: Device;
  /**
   * Several devices, or `{ device, bytes }` with the bytes that each may use. They share the decoder's layers: each has a contiguous run of
   * them, by memory, with their part of every KV cache; the first has everything else too. They are not disposed with the model. Not beside `device`, `memoryBudget`, `weights`, `adapter` and
   * `onDeviceLost: "reload"`, and not for training and attention maps.
   */
  devices?: readonly (Device | DeviceShare)[];
  signal?: AbortSignal | undefined;
  onProgress?: (progress: LoadProgress) => void;
  /**
   * Storage dtype of the weights, for all or by part; "auto" is the checkpoint's. Fewer bits are smaller and faster, but less
   * precise.
   */
  dtype?: StorageDtype | Partial<DtypeByPart>;
  /**
   * Storage dtype of the KV cache; "auto" is f32. f16 halves its memory, with intermediates that differ from the reference's by up to
   * a thousandth; q8 quarters it.
   */
  cacheDtype?: CacheType | "auto";
  /** Maximum sequence length of a session, prompt and answer; the checkpoint's maximum if not given. */
  contextTokens?: number;
  /**
   * Maximum bytes on the adapter for the model, one session of `contextTokens` (at most 8,192 if not given) and a question about a
   * picture of the maximum number of tiles, or of `tiles`, as `LlavaOneVision.estimate` computes them. Loading fails with
   * OverBudgetError before anything is downloaded. What adapters add is not counted. A prompt whose keys and values do not fit beside those of
   * other sessions waits for them, before its pictures are encoded.
   */
  memoryBudget?: number | MemoryBudget;
  /**
   * Whether the decoder's layers stay on the device ("resident", if not given), or those that do not fit `memoryBudget` pass through it
   * ("auto"; "stream" at least one). Layers that stream are read again for each prompt and each token: the checkpoint should be on a fast
   * disk. Not for training.
   */
  weights?: WeightsPlacement;
  /**
   * Bytes of host memory in which layers that stream are kept between passes; 0 if not given. What is kept is not read again: useful for URLs and
   * the browser's storage, since operating systems keep files of a disk in memory by themselves.
   */
  hostBudget?: number;
  /**
   * Maximum size in bytes of the vision cache, which keeps visual tokens while there are sessions; 256 MiB if not given, 0
   * disables it.
   */
  visionCacheBytes?: number;
  /**
   * Maximum size in bytes of keys and values that are kept for prompts that begin like those of sessions that have ended, while there are
   * sessions. Beside `memoryBudget`, which does not count it, 0 if not given, else 256 MiB. What sessions have, others share in any case.
   */
  prefixCacheBytes?: number;
  /**
   * Maximum rows of a prompt that are computed at once while other sessions generate (256): the delay of their next token. More of
   * them make the first token of a newcomer earlier.
   */
  prefillRows?: number;
  /**
   * Milliseconds for which the prompts of other sessions may delay a token (20), but by one chunk of rows or one tile in any case. More of them
   * make the first token of a newcomer earlier where chunks are short.
   */
  prefillMs?: number;
  /**
   * What happens when the GPU resets or the browser restarts its GPU process. "fail", if not given: calls reject with DeviceLostError.
   * "reload": the next call opens another device and loads the weights again; a running answer does so at once and continues its text.
   * Three losses in a minute end with DeviceLostError. Not beside `device`.
   */
  onDeviceLost?: "fail" | "reload";
  /**
   * LoRA adapters in PEFT's format (arXiv 2106.09685): a folder, hub id or URL, or several with names and weights. What they add to the
   * decoder's layers stays apart from the weights, and sessions select it (`createSession({ adapters })`); additions to the vision tower
   * and the projector, and whole modules (`modules_to_save`), are merged into the weights.
   */
  adapter?: AdapterLocations | undefined;
  /** Whether adapters are merged into the weights altogether, which costs nothing in use (false). */
  mergeAdapters?: boolean | undefined;
}

/** Throws OptionError for an option that loading does not know or that has no meaning, before anything is read. */
export function checkLoadOptions(options: LoadOptions): void {
  checkOptions("LlavaOneVision.load", options, [
    "device",
    "devices",
    "signal",
    "onProgress",
    "dtype",
    "cacheDtype",
    "contextTokens",
    "memoryBudget",
    "weights",
    "hostBudget",
    "visionCacheBytes",
    "prefixCacheBytes",
    "prefillRows",
    "prefillMs",
    "onDeviceLost",
    "adapter",
    "mergeAdapters",
    ...HUB_OPTIONS,
  ]);
  const { device: given, onDeviceLost } = options;
  if (given !== undefined && !(given instanceof Device)) {
    throw new OptionError({
      where: "LlavaOneVision.load, device",
      expected: "a Device",
      got: shown(given),
      remedy: "leave it out for WebGPU's own choice, or pass Device.from(gpuDevice) of ocellus/tensor",
    });
  }
  if (onDeviceLost !== undefined && onDeviceLost !== "fail" && (onDeviceLost !== "reload" || given)) {
    throw new OptionError({
      where: "LlavaOneVision.load, onDeviceLost",
      expected: given ? '"fail" beside a device' : '"fail" or "reload"',
      got: shown(onDeviceLost),
      remedy: given ? "leave the device out, or call model.reload with another" : "leave it out for an error",
    });
  }
  for (const name of ["visionCacheBytes", "prefixCacheBytes"] as const) {
    const bytes = options[name];
    if (bytes === undefined || bytes >= 0) continue;
    throw new OptionError({
      where: `LlavaOneVision.load, ${name}`,
      expected: "a number of bytes, 0 or above",
      got: shown(bytes),
      remedy: "leave it out for 256 MiB",
    });
  }
  const { prefillRows, prefillMs } = options;
  if (prefillMs !== undefined && !(prefillMs >= 0)) {
    throw new OptionError({
      where: "LlavaOneVision.load, prefillMs",
      expected: "a number of milliseconds, 0 or above",
      got: shown(prefillMs),
      remedy: "leave it out for 20",
    });
  }
  if (prefillRows !== undefined && !(Number.isInteger(prefillRows) && prefillRows > 0)) {
    throw new OptionError({
      where: "LlavaOneVision.load, prefillRows",
      expected: "a whole number above 0",
      got: shown(prefillRows),
      remedy: "leave it out for 256",
    });
  }
}
