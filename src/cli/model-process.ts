import { LlavaOneVision } from "../models/llava-onevision.js";
import { type LoadedModel, type LoadTools, runModelProcess } from "../server/model-process.js";
import { failureOf } from "./commands.js";
import type { ModelSettings } from "./model-settings.js";

// The process in which `ocellus serve` has its model.

async function load(settings: ModelSettings, { signal, progress }: LoadTools): Promise<LoadedModel> {
  const model = await LlavaOneVision.load(settings.where, {
    ...settings.options,
    signal,
    onDownload: ({ file, allLoadedBytes, allTotalBytes, bytesPerSecond }) =>
      progress({ what: `downloading ${file}:`, done: allLoadedBytes, total: allTotalBytes, bytesPerSecond }),
    onProgress: ({ loadedBytes, totalBytes }) => progress({ what: "loading", done: loadedBytes, total: totalBytes }),
  });
  const { tokenizer } = model.internals.processor;
  return {
    model,
    name: settings.name,
    embed: async (texts, signal) => ({
      vectors: await model.embedText(texts, { signal }),
      tokens: texts.reduce((sum, text) => sum + tokenizer.encodeLiteral(text).length, 0),
    }),
    adapter: model.device.facts.name,
    memory: () => {
      const { usedBlocks, sharedBlocks, preemptions } = model.internals.kvPool;
      return { gpuBytes: model.device.pool.reservedBytes, usedBlocks, sharedBlocks, preemptions };
    },
    lost: model.device.gpu.lost.then(
      ({ message, reason }) => `its GPU device was lost: ${message || reason || "no reason given"}`,
    ),
  };
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
