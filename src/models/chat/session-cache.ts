import { AbortedError, DeviceLostError } from "../../base/errors.js";
import { BLOCK_ROWS } from "../../kernels/kv-blocks.js";
import type { KVCache } from "../../layers/kv-cache.js";
import { Arena } from "../../runtime/arena.js";
import { isOutOfMemory } from "../../runtime/gpu-fault.js";
import type { ModelInternals } from "./model-internals.js";
import { CachedPrefix, type PassOptions, PromptPass } from "./prompt-pass.js";
import type { Sequence } from "./sequence.js";

/** Tokens reused from the cache, and tiles encoded. */
export interface PassUsage {
  reusedTokens: number;
  tiles: number;
}

/** Runs within a pass; returns the tokens that it fed to the decoder after the prompt. */
export type PassWork = (pass: PromptPass, owner: Arena, reused: number, cache: KVCache) => Promise<readonly number[]>;

/**
 * The KV cache of a session and the sequence in it. The rows are empty after the model was reloaded and after `release`; the sequence
 * stays, and its rows are computed again at the next use.
 */
export class SessionCache {
  #cache: KVCache;
  #prefix = new CachedPrefix();

  constructor(
    private readonly model: ModelInternals,
    /** Names of the adapters that the rows are computed with; undefined for all. */
    private readonly adapters?: readonly string[],
  ) {
    this.#cache = this.#empty();
  }

  #empty(): KVCache {
    const { model } = this;
    const { network, cacheType, kvPool } = model;
    kvPool.reclaim = () => {
      for (const session of model.sessions) session.releaseIdle();
      model.prefixCache.clear();
    };
    const cache = network.cache(cacheType, model.config.text.maxPositions, kvPool);
    cache.adapters = this.adapters;
    return cache;
  }

  /** The sequence in the cache. */
  get prefix(): CachedPrefix {
    return this.#prefix;
  }

  /** The cache on the model's device. */
  get rows(): KVCache {
    if (this.#cache.device !== this.model.device) {
      this.#cache.dispose();
      this.#cache = this.#empty();
    }
    return this.#cache;
  }

  /** Length of the prompt's prefix that is in the cache, or in blocks of other sessions. */
  reused(prompt: Sequence): number {
    return Math.max(this.#prefix.common(prompt, this.rows.length), this.#known(prompt).length * BLOCK_ROWS);
  }

  /** Blocks of the longest prefix that some session has computed. At least one row is left to compute. */
  #known(prompt: Sequence): number[] {
    return this.model.prefixCache.find(prompt, this.adapters, prompt.inputIds.length - 1);
  }

  /** Lets other sessions take the full blocks of the sequence, once its rows are known to be computed. */
  offer({ on }: PromptPass): void {
    const { ids, media } = this.#prefix;
    const rows = Math.min(this.#cache.length, ids.length);
    if (on.kvPool !== this.#cache.pool) return;
    on.prefixCache.keep({ inputIds: ids, media }, this.adapters, this.#cache.blocks, rows);
  }

  /** Returns a copy. Throws LimitError if it does not fit, DeviceLostError unless the model recovers from that. */
  clone(): SessionCache {
    const other = new SessionCache(this.model, this.adapters);
    other.#prefix = this.#prefix;
    try {
      other.#cache = this.rows.clone();
    } catch (cause) {
      // The copy computes its rows again, as this cache does.
      if (!(cause instanceof DeviceLostError && this.model.recovery.reloads)) throw cause;
    }
    return other;
  }

  /**
   * Runs a pass over the rows of a prompt that are not cached. On failure the cache is restored to its capacity and a known prefix, or
   * emptied where memory ran out, or where its rows do not fit beside those of others.
   */
  async during(
    prompt: Sequence,
    options: PassOptions,
    abort: AbortSignal | undefined,
    usage: PassUsage,
    work: PassWork,
  ): Promise<void> {
    const cache = this.rows;
    const { capacity } = cache;
    const { rows } = cache.pool;
    const owner = new Arena(this.model.device, "answer");
    const pass = new PromptPass(this.model, prompt, owner, options);
    // Taps cover the whole prompt, so nothing of it may be reused.
    const own = options.taps ? 0 : this.#prefix.common(prompt, cache.length);
    const known = options.taps ? [] : this.#known(prompt);
    if (known.length * BLOCK_ROWS > own) cache.restart(known);
    else cache.truncate(own);
    // What follows is written anew; where no more is kept, its memory is needed for that.
    cache.releaseShared();
    this.model.prefixCache.evict();
    const reused = cache.length;
    this.#prefix = new CachedPrefix(prompt.inputIds, prompt.media);
    usage.reusedTokens = reused;
    try {
      const fed = await work(pass, owner, reused, cache);
      pass.keep();
      // Drop the steps that were recorded ahead of the last returned token.
      cache.truncate(prompt.inputIds.length + fed.length);
      this.#prefix = new CachedPrefix([...prompt.inputIds, ...fed], prompt.media);
      this.offer(pass);
    } catch (cause) {
      cache.truncate(prompt.inputIds.length);
      if (isStop(cause, abort)) pass.keep();
      else if (isOutOfMemory(cause)) {
        cache.pool.lose(cause);
        cache.dispose();
      } else if (cache.pool.isFull(cause)) cache.dispose();
      else if (cause instanceof AbortedError) cache.shrink(capacity, rows);
      else cache.truncate(reused);
      throw cause;
    } finally {
      usage.tiles += pass.tiles;
      pass.end();
      owner.dispose();
    }
  }

  /** Computes the rows of the sequence again, if they are not in the cache. The last token has none: no step followed it. */
  async refill(options: PassOptions): Promise<KVCache> {
    const { ids, media } = this.#prefix;
    if (this.rows.length < ids.length - 1) {
      const usage = { reusedTokens: 0, tiles: 0 };
      await this.during({ inputIds: ids, media }, options, options.signal, usage, async (pass, _, from, cache) => {
        cache.reserve(ids.length, true);
        await pass.encodeMedia(from);
        await pass.fill(from, ids.length - 1, cache);
        return [];
      });
    }
    return this.rows;
  }

  /** Frees the memory of the rows. */
  release(): void {
    this.#cache.dispose();
    this.model.prefixCache.evict();
  }
}

/** Whether it was `answer.stop()` that ended the work, not the caller's signal. */
export function isStop(cause: unknown, abort: AbortSignal | undefined): boolean {
  return cause instanceof AbortedError && !abort?.aborted;
}
