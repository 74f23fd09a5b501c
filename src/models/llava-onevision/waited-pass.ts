import type { RowPiece } from "../../kernels/resample.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { SequenceRows } from "../../layers/sequence-rows.js";
import type { ReadRows } from "../../layers/stored-rows.js";
import type { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Chunk } from "./layer-pass.js";
import type { PassOptions } from "./pass-options.js";
import type { Qwen2 } from "./qwen2.js";

/** Chunks of a prompt for each of several devices: while the pipeline fills and drains, some of them have nothing to do. */
const STAGE_CHUNKS = 4;
/** Chunks of fewer rows would make products slower than the pipeline gains. */
const FEWEST_STAGE_ROWS = 64;

/** What of a network a pass needs. */
export interface PassedNetwork {
  readonly language: Qwen2;
  /** Rows per prefill chunk. */
  readonly rowsPerChunk: number;
  embed(ids: Uint32Array, first: number, visual: readonly RowPiece[], read?: ReadRows): Tensor;
}

/** Passes over layers that stream or are on several devices; pages whose layers stay on one device load none of it. See `Network`. */
export async function passRows(
  { language }: PassedNetwork,
  ids: () => Tensor,
  sequences: readonly SequenceRows[],
  options: PassOptions,
): Promise<Tensor> {
  const { device } = options.owner;
  const positions = sequences.map(({ cache }) => cache.length);
  const begin = async (arena: Arena): Promise<Chunk[]> => {
    const { tables, embedding } = language;
    const read = tables && (await tables.rows.read(await idsOnHost(ids, options.owner), options.signal));
    const x = arena.run(() => device.scope(() => (read ? tables.rows.forward(read) : embedding.forward(ids())))); // [T, D]
    return [{ x, sequences, positions }];
  };
  const caches = sequences.map(({ cache }) => cache);
  const [hidden] = await pass(language, caches, begin, options);
  const logits = await logitsOf(language, hidden!, options); // [T, V]
  hidden!.dispose();
  return logits;
}

/** Ids of rows that the host has to read. */
async function idsOnHost(ids: () => Tensor, { device }: Arena): Promise<Uint32Array> {
  const arena = device.arena("ids");
  try {
    return await arena.run(ids).read("u32");
  } finally {
    arena.dispose();
  }
}

/** Ids of the rows from `first` on → hidden states `[T, D]` in chunks. Each layer is used once, over all chunks. */
export function passPrompt(
  network: PassedNetwork,
  ids: Uint32Array,
  first: number,
  visual: readonly RowPiece[],
  cache: KVCache,
  options: PassOptions,
): Promise<Tensor[]> {
  const { language } = network;
  const begin = async (arena: Arena): Promise<Chunk[]> => {
    const chunks: Chunk[] = [];
    for (const { at, rows } of chunksOf(network, ids)) {
      // Placeholder ids may lie outside the table; their rows are overwritten.
      const known = rows.map((id) => Math.min(id, language.config.vocabulary - 1));
      const read = await language.tables?.rows.read(known, options.signal);
      const x = recorded({ ...options, owner: arena }, -1, () => network.embed(rows, first + at, visual, read)); // [T, D]
      chunks.push({ x, sequences: [{ cache, rows: rows.length }], positions: [first + at] });
    }
    return chunks;
  };
  return pass(language, [cache], begin, options);
}

/** The chunks of a prompt's rows, before the first layer, in a dry run; `arena` owns them. */
export function promptChunks(
  network: PassedNetwork,
  ids: Uint32Array,
  first: number,
  visual: readonly RowPiece[],
  cache: KVCache,
  arena: Arena,
): Chunk[] {
  return chunksOf(network, ids).map(({ at, rows }) => {
    const x = arena.run(() => network.embed(rows, first + at, visual)); // [T, D]
    return { x, sequences: [{ cache, rows: rows.length }], positions: [first + at] };
  });
}

/** Rows that go through the layers together. */
function chunksOf({ language, rowsPerChunk }: PassedNetwork, ids: Uint32Array): { at: number; rows: Uint32Array }[] {
  const { length: devices } = language.stages;
  const enough = Math.max(FEWEST_STAGE_ROWS, Math.ceil(ids.length / (STAGE_CHUNKS * devices)));
  const step = devices > 1 ? Math.min(rowsPerChunk, enough) : rowsPerChunk;
  return Array.from({ length: Math.ceil(ids.length / step) }, (_, i) => {
    return { at: i * step, rows: ids.subarray(i * step, (i + 1) * step) };
  });
}

/** Streaming layers are used one after the other by all chunks; devices have a chunk each. */
async function pass(
  language: Qwen2,
  caches: readonly KVCache[],
  begin: (arena: Arena) => Promise<readonly Chunk[]>,
  options: PassOptions,
): Promise<Tensor[]> {
  if (language.store.streams) {
    const { passLayers } = await import("./layer-pass.js");
    return passLayers(language, caches, begin, options);
  }
  const { passStages } = await import("./stage-pass.js");
  return passStages(language, caches, begin, options);
}

/** hidden `[T, D]` → logits `[T, V]`. Throws CheckpointError, SourceError, AbortedError. */
export async function logitsOf(language: Qwen2, hidden: Tensor, options: PassOptions): Promise<Tensor> {
  const { device } = options.owner;
  const streamed = await language.tables?.head.forward(hidden, options);
  return recorded(options, language.layers.length + 1, () => {
    if (!streamed) return device.scope(() => language.logits(hidden));
    device.tap?.("logits", streamed);
    return streamed;
  });
}

/** Records what a step of a pass makes. */
function recorded(
  { owner, around = (work) => work() }: Pick<PassOptions, "owner" | "around">,
  layer: number,
  make: () => Tensor,
): Tensor {
  let made: Tensor | undefined;
  around(() => {
    made = owner.run(make);
  }, layer);
  return made!;
}
