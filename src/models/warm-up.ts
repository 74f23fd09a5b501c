import { LimitError } from "../base/errors.js";
import type { CacheType } from "../kernels/kv-format.js";
import { KVCache } from "../layers/kv-cache.js";
import { Sampler } from "./chat/sampler.js";
import type { Network } from "./llava-onevision/network.js";
import { packPadImage } from "./llava-onevision/packing.js";

/** Rows of a prompt without a picture. */
const SHORT_PROMPT = 64;

/**
 * Pipeline warm-up: records one picture, a prefill and a decode step without executing them, so that their pipelines compile in
 * parallel while the weights load. Kernels are chosen by shape, so it uses typical ones: two tiles, a chunk of rows and a short prompt,
 * one row after each.
 */
export function warmUp(network: Network, cacheType: CacheType): void {
  const { device, config } = network;
  const { tileSide, cells } = config.vision;
  const { text } = config;
  try {
    device.precompile(() => {
      const count = Math.min(2, network.tilesPerBatch);
      const tensor = network.project(new Uint8Array(count * tileSide ** 2 * 3), count);
      const visual = { first: 0, tensor: network.pack([{ first: 0, tensor }], packPadImage(cells)) };
      const cache = new KVCache(device, text.layers, text.keyValueHeads * text.headSize, cacheType);
      const rows = Math.min(network.rowsPerChunk, text.maxPositions - 1);
      cache.reserve(rows + 1);
      const rules = { repetitionPenalty: 1, minNewTokens: 0, eosTokens: [], allowed: text.vocabulary };
      const sampler = new Sampler(device, rules);
      for (const count of [rows, Math.min(rows, SHORT_PROMPT)]) {
        cache.length = 0;
        sampler.choose(network.next(new Uint32Array(count), 0, [visual], cache), 0, 0);
        network.step(sampler.token, cache);
      }
      cache.dispose();
    });
  } catch (cause) {
    // Limits are reported on use: a question without a picture may still fit.
    if (!(cause instanceof LimitError)) throw cause;
  }
}
