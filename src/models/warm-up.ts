import { LimitError } from "../base/errors.js";
import { chooseTokens } from "../kernels/choose-tokens.js";
import { FEW_ROWS } from "../kernels/few-rows-broadcast.js";
import type { CacheType } from "../kernels/kv-format.js";
import { KVCache } from "../layers/kv-cache.js";
import { KVPool } from "../layers/kv-pool.js";
import { Sampler, type SamplerOptions } from "./chat/sampler.js";
import { SamplerRows } from "./chat/sampler-rows.js";
import type { Network } from "./llava-onevision/network.js";
import { packPadImage } from "./llava-onevision/packing.js";

/** What sequences that share steps have in common. */
interface SharingModel {
  readonly network: Network;
  readonly cacheType: CacheType;
}

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
  withinLimits(() =>
    device.precompile(() => {
      const count = Math.min(2, network.tilesPerBatch);
      const tensor = network.project(new Uint8Array(count * tileSide ** 2 * 3), count);
      const visual = { first: 0, tensor: network.pack([{ first: 0, tensor }], packPadImage(cells)) };
      const cache = new KVCache(device, text.layers, text.keyValueHeads * text.headSize, cacheType);
      const rows = Math.min(network.rowsPerChunk, text.maxPositions - 1);
      cache.reserve(rows + 1);
      const sampler = new Sampler(device, greedy(network));
      for (const count of [rows, Math.min(rows, SHORT_PROMPT)]) {
        cache.length = 0;
        sampler.choose(network.next(new Uint32Array(count), 0, [visual], cache), 0, 0);
        network.step(sampler.token, cache);
      }
      cache.dispose();
    }),
  );
}

/**
 * The same for steps that up to `most` sequences share. Kernels have variants for powers of two of rows; tokens are chosen greedily, as
 * above.
 */
export function warmUpShared(network: Network, cacheType: CacheType, most: number): void {
  const { device, config } = network;
  const { text } = config;
  if (most < 2 || network.waits) return;
  withinLimits(() => {
    for (let count = 2; ; count *= 2) {
      device.precompile(() => {
        const pool = new KVPool(device, text.layers, text.keyValueHeads * text.headSize, cacheType);
        const rows = new SamplerRows(device, text.vocabulary);
        const sequences = Array.from({ length: count }, () => {
          const cache = new KVCache(device, pool.layers, pool.width, cacheType, text.maxPositions, pool);
          cache.reserve(SHORT_PROMPT + 1);
          cache.length = SHORT_PROMPT;
          return { cache, rows: 1, sampler: new Sampler(device, greedy(network), false, rows) };
        });
        const logits = network.stepAll(device.empty([count], "u32", "ids"), sequences); // [count, V]
        const place = (row: number) => ({ tensor: logits, first: row * text.vocabulary });
        chooseTokens(
          device,
          sequences.map(({ sampler }, row) => sampler.choiceFrom(place(row), 0, 0)),
        );
        for (const { cache, sampler } of sequences) {
          sampler.dispose();
          cache.dispose();
        }
      });
      if (count >= Math.min(most, FEW_ROWS)) return;
    }
  });
}

function greedy({ config }: Network): SamplerOptions {
  return { repetitionPenalty: 1, minNewTokens: 0, eosTokens: [], allowed: config.text.vocabulary };
}

/** Ends `work` early at a limit: these are reported on use, where less than is warmed up here may still fit. */
function withinLimits(work: () => void): void {
  try {
    work();
  } catch (cause) {
    if (!(cause instanceof LimitError)) throw cause;
  }
}

/** Compiles what steps that up to `most` sequences of a loaded model share need. Nothing on CPU adapters: there the first answers would wait for it. */
export async function prepareShared({ network, cacheType }: SharingModel, most: number): Promise<void> {
  if (network.device.facts.onCPU) return;
  warmUpShared(network, cacheType, most);
  await network.device.prepared();
}
