import type { RowPiece } from "../kernels/resample.js";
import { KVCache } from "../layers/kv-cache.js";
import { AdaptiveSteps, decode } from "../models/decoding.js";
import { type PackingPlan, packImage, planImage } from "../models/llava-onevision/packing.js";
import { Sampler } from "../models/sampler.js";
import type { Arena } from "../runtime/arena.js";
import { throwIfAborted } from "../runtime/errors.js";
import type { Tensor } from "../runtime/tensor.js";
import type { LoadedModel } from "./loaded-model.js";
import { randomBytes } from "./verify.js";

/** The stages of an answer, as sessions run them, on a prompt that is made up. */

/** Tiles of a picture as large as a tile: the picture itself and its one part. */
export const TILES = 2;

/** Where the visual tokens of such a picture come from; 1,485 of them in tiles of 27 × 27 cells. */
export function planOf({ geometry }: LoadedModel): PackingPlan {
  const { cells, tileSide } = geometry.vision;
  const grid = { columns: 1, rows: 1 };
  return packImage(planImage(tileSide, tileSide, grid, cells, 9), grid, cells);
}

/** The visual tokens of a picture of noise; ends when the adapter has made them. */
export async function see(model: LoadedModel, plan: PackingPlan, owner: Arena): Promise<Tensor> {
  const { network, geometry } = model;
  const tileBytes = geometry.vision.tileSide ** 2 * 3;
  const tiles = randomBytes(TILES * tileBytes);
  const features: RowPiece[] = [];
  for (let first = 0; first < TILES; first += network.tilesPerBatch) {
    const count = Math.min(network.tilesPerBatch, TILES - first);
    const batch = tiles.subarray(first * tileBytes, (first + count) * tileBytes);
    features.push({
      first: first * geometry.vision.cells ** 2,
      tensor: owner.run(() => network.project(batch, count)),
    });
    await network.device.sync();
  }
  const packed = owner.run(() => network.pack(features, plan));
  for (const { tensor } of features) tensor.dispose();
  await network.device.sync();
  return packed;
}

/** Runs `rows` rows through the decoder, the visual tokens first; the logits of the last, when the adapter has made them. */
export async function prefill(
  model: LoadedModel,
  rows: number,
  visual: Tensor | undefined,
  cache: KVCache,
  owner: Arena,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  const { network, geometry } = model;
  const { device } = network;
  const ids = Uint32Array.from({ length: rows }, (_, i) => (i * 7919 + 13) % geometry.text.vocabulary);
  const pieces = visual ? [{ first: 0, tensor: visual }] : [];
  cache.length = 0;
  cache.reserve(rows);
  for (let first = 0; ; first += network.rowsPerChunk) {
    throwIfAborted(signal, "bench, prefill");
    const chunk = ids.subarray(first, first + network.rowsPerChunk);
    if (first + chunk.length === rows) {
      const logits = owner.run(() => network.next(chunk, first, pieces, cache));
      await device.sync();
      return logits;
    }
    device.scope(() => void network.decode(chunk, first, pieces, cache));
    await device.sync();
  }
}

/** A cache for the model's decoder. */
export function cacheOf({ network, geometry }: LoadedModel): KVCache {
  const { layers, keyValueHeads, headSize } = geometry.text;
  return new KVCache(network.device, layers, keyValueHeads * headSize);
}

/** What decoding took. */
export interface Decoded {
  readonly tokens: number;
  /** Between the first token and the last. */
  readonly msPerToken: number;
  readonly submissionsPerToken: number;
  readonly readbacksPerToken: number;
}

/** Tokens that are decoded at least, and at most. */
const LEAST_TOKENS = 33;
const MOST_TOKENS = 257;

/**
 * Decodes as an answer does, from the logits of a prompt on, for about so many seconds; `stepMs` is what a step is known to
 * take. The cache is left as it was.
 */
export async function decodeTokens(
  model: LoadedModel,
  logits: Tensor,
  cache: KVCache,
  owner: Arena,
  options: { seconds: number; stepMs: number; signal?: AbortSignal | undefined },
): Promise<Decoded> {
  const { network, geometry } = model;
  const { counters } = network.device;
  const { seconds, stepMs, signal } = options;
  const held = cache.length;
  const wanted = Math.min(MOST_TOKENS, Math.max(LEAST_TOKENS, Math.round((seconds * 1000) / stepMs)));
  const before = { ...counters };
  let tokens = 0;
  let [first, last] = [0, 0];
  const choices = decode(network, cache, logits, owner, {
    repetitionPenalty: 1,
    minNewTokens: 0,
    eosTokens: [],
    allowed: geometry.text.vocabulary,
    maxNewTokens: wanted,
    adaptiveSteps: new AdaptiveSteps(),
    check: () => throwIfAborted(signal, "bench, decoding"),
  });
  for await (const _token of choices) {
    last = performance.now();
    if (tokens++ === 0) first = last;
  }
  cache.truncate(held);
  return {
    tokens,
    msPerToken: (last - first) / (tokens - 1),
    submissionsPerToken: (counters.submissions - before.submissions) / tokens,
    readbacksPerToken: (counters.readbacks - before.readbacks) / tokens,
  };
}

/** What one step of decoding is: its milliseconds, warmed up, and the dispatches of a layer and of the whole. */
export async function stepOf(
  model: LoadedModel,
  cache: KVCache,
): Promise<{ ms: number; dispatches: number; dispatchesPerLayer: number }> {
  const { network, geometry } = model;
  const { device, language } = network;
  const { counters } = device;
  const owner = device.arena("step");
  const held = cache.length;
  cache.reserve(held + 1);
  try {
    const rules = { repetitionPenalty: 1, minNewTokens: 0, eosTokens: [], allowed: geometry.text.vocabulary };
    const sampler = owner.run(() => new Sampler(device, rules, 1));
    const x = owner.run(() => device.upload(new Float32Array(geometry.text.width), [1, geometry.text.width], "x"));
    device.write(sampler.token, Uint32Array.of(1));
    const start = counters.dispatches;
    device.scope(() => void language.layers[0]!.forward(x, cache));
    const dispatchesPerLayer = counters.dispatches - start;
    let [ms, dispatches] = [0, 0];
    // The first step warms up.
    for (let i = 0; i < 2; i++) {
      await device.sync();
      const [begun, counted] = [performance.now(), counters.dispatches];
      owner.run(() => device.scope(() => sampler.choose(network.step(sampler.token, cache), 0, 0)));
      dispatches = counters.dispatches - counted;
      await device.sync();
      ms = performance.now() - begun;
      cache.length = held;
    }
    return { ms, dispatches, dispatchesPerLayer };
  } finally {
    owner.dispose();
  }
}
