import { LlavaOneVision } from "../models/llava-onevision.js";
import { prepareShared } from "../models/warm-up.js";
import type { Device } from "../runtime/device.js";
import { type LoadedModel, type LoadTools, runModelProcess } from "../server/model-process.js";
import { failureOf } from "./commands.js";
import { openDevices } from "./model-options.js";
import type { ModelSettings } from "./model-settings.js";

// The process in which `ocellus serve` has its model.

async function load(settings: ModelSettings, { signal, progress }: LoadTools): Promise<LoadedModel> {
  const model = await LlavaOneVision.load(settings.where, {
    ...settings.options,
    ...(await openDevices(settings.devices)),
    signal,
    onDownload: ({ file, allLoadedBytes, allTotalBytes, bytesPerSecond }) =>
      progress({ what: `downloading ${file}:`, done: allLoadedBytes, total: allTotalBytes, bytesPerSecond }),
    onProgress: ({ loadedBytes, totalBytes }) => progress({ what: "loading", done: loadedBytes, total: totalBytes }),
  });
  await prepareShared(model.internals, settings.sequences);
  const { tokenizer } = model.internals.processor;
  return {
    model,
    name: settings.name,
    embed: async (texts, signal) => ({
      vectors: await model.embedText(texts, { signal }),
      tokens: texts.reduce((sum, text) => sum + tokenizer.encodeLiteral(text).length, 0),
    }),
    adapter: model.devices.map(({ facts }) => facts.name).join(" and "),
    memory: () => {
      const { usedBlocks, sharedBlocks, preemptions } = model.internals.kvPool;
      const gpuBytes = model.devices.reduce((sum, { pool }) => sum + pool.reservedBytes, 0);
      return { gpuBytes, usedBlocks, sharedBlocks, preemptions };
    },
    lost: Promise.race(model.devices.map(lossOf)),
  };
}

/** Resolves with the reason when a device is lost. */
async function lossOf({ gpu, title }: Device): Promise<string> {
  const { message, reason } = await gpu.lost;
  return `its GPU device on ${title} was lost: ${message || reason || "no reason given"}`;
}

let debug = false;
runModelProcess(
  (settings, tools) => {
    const given = settings as ModelSettings;
    debug = given.debug;
    return load(given, tools);
  },
  (error) => failureOf(error, debug),
);
