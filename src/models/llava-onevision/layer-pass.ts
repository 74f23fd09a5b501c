import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import { FEW_ROWS } from "../../kernels/few-rows-broadcast.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { SequenceRows } from "../../layers/sequence-rows.js";
import type { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { PassOptions } from "./pass-options.js";
import type { Qwen2 } from "./qwen2.js";

/** Rows that go through the layers together. */
export interface Chunk {
  /** Hidden states `[T, D]`: those after the latest layer. */
  x: Tensor;
  readonly sequences: readonly SequenceRows[];
  /** Positions of the sequences' caches before these rows. */
  readonly positions: readonly number[];
}

/**
 * Records layer by layer, each over all chunks, so that its weights are needed once: x⁽ⁱ⁺¹⁾ = layer_i(x⁽ⁱ⁾) for every chunk, then the final
 * norm. Yields each layer's index before it is recorded, when its weights have to be ready. The hidden states belong to `arena`. The caches have
 * the new rows at the end, unless their sequences have ended meanwhile and they were truncated.
 */
export function* recordLayers(
  language: Qwen2,
  chunks: readonly Chunk[],
  arena: Arena,
  around: PassOptions["around"] = (work) => work(),
): Generator<number, void, undefined> {
  const { device } = arena;
  const each = (work: (chunk: Chunk) => Tensor): void => {
    for (const chunk of chunks) {
      const y = arena.run(() => device.scope(() => work(chunk)));
      device.free(chunk.x);
      chunk.x = y;
    }
  };
  for (const [i, layer] of language.layers.entries()) {
    yield i;
    around(
      () =>
        each((chunk) => {
          language.select(chunk.sequences);
          const y = atPositions(chunk, () => layer.forward(chunk.x, chunk.sequences));
          device.tap?.(`blocks.${i}`, y);
          return y;
        }),
      i,
    );
  }
  around(() => each(({ x }) => language.normed(x)), language.layers.length);
  advance(chunks);
}

/** Counts the rows of chunks in their caches, unless their sequences have ended meanwhile and they were truncated. */
export function advance(chunks: readonly Pick<Chunk, "sequences" | "positions">[]): void {
  for (const { sequences, positions } of chunks) {
    const unchanged = sequences.filter(({ cache }, i) => cache.length === positions[i]);
    for (const { cache, rows } of unchanged) cache.length += rows;
  }
}

/** Runs `work` as if the caches had the rows before the chunk. */
export function atPositions<T>({ sequences, positions }: Pick<Chunk, "sequences" | "positions">, work: () => T): T {
  const lengths = sequences.map(({ cache }) => cache.length);
  for (const [i, { cache }] of sequences.entries()) cache.length = positions[i]!;
  try {
    return work();
  } finally {
    for (const [i, { cache }] of sequences.entries()) cache.length = lengths[i]!;
  }
}

/**
 * A pass over layers that stream: waits for each layer's weights, and records at most one layer more than the device has computed, so that it
 * ends within a layer of an abort. `begin` records the layers' input, owned by an arena, when the passes before have ended; it may read rows first. Returns the
 * hidden states `[T, D]` of each chunk after the final norm.
 */
export async function passLayers(
  language: Qwen2,
  caches: readonly KVCache[],
  begin: (arena: Arena) => readonly Chunk[] | Promise<readonly Chunk[]>,
  { owner, where, signal, check, around, onLayer }: PassOptions,
): Promise<Tensor[]> {
  const { store, layers } = language;
  const { device } = store;
  const arena = device.arena("pass");
  const releases = [...new Set(caches)].map((cache) => cache.hold());
  const work = async (): Promise<Tensor[]> => {
    check?.();
    const chunks = await begin(arena);
    const isLong = chunks.reduce((sum, { x }) => sum + x.size(0), 0) > FEW_ROWS;
    let computed: Promise<void> = Promise.resolve();
    for (const layer of recordLayers(language, chunks, arena, around)) {
      if (layer > 0) {
        store.used(layer - 1);
        onLayer?.(layer, layers.length);
        if (isLong || layer > store.resident) {
          const before = computed;
          computed = device.sync();
          computed.catch(() => {}); // thrown where it is awaited
          await unlessAborted(before, signal, where);
        }
      }
      await unlessAborted(store.ready(layer), signal, where);
      throwIfAborted(signal, where);
      check?.();
    }
    store.used(layers.length - 1);
    const hidden = chunks.map(({ x }) => x);
    owner.adopt(hidden);
    return hidden;
  };
  try {
    return await store.pass(work, signal, where);
  } finally {
    arena.dispose();
    for (const release of releases) release();
  }
}
