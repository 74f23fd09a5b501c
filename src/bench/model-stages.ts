import { throwIfAborted } from "../base/errors.js";
import type { RowPiece } from "../kernels/resample.js";
import type { KVCache } from "../layers/kv-cache.js";
import { AdaptiveSteps } from "../models/chat/adaptive-steps.js";
import { decode } from "../models/chat/decoding.js";
import { Sampler } from "../models/chat/sampler.js";
import { type PackingPlan, packImage, planImage } from "../models/llava-onevision/packing.js";
import type { Arena } from "../runtime/arena.js";
import type { Tensor } from "../runtime/tensor.js";
import type { LoadedModel } from "./loaded-model.js";
import { randomBytes } from "./verify.js";

/** The stages of an answer, as sessions run them, on a synthetic prompt. */

/** Tiles of a picture of tile size: the base tile and one grid tile. */
export const TILES = 2;

/** Packing plan of such a picture; 1,485 visual tokens with tiles of 27 × 27 cells. */
export function planOf({ geometry }: LoadedModel): PackingPlan {
  const { cells, tileSide } = geometry.vision;
  const grid = { columns: 1, rows: 1 };
  return packImage(planImage(tileSide, tileSide, grid, cells, 9), grid, cells);
}

/** Encodes a noise picture to visual tokens, and waits for the adapter. */
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

/** Prefills `rows` rows, visual tokens first; returns the logits of the last row, after waiting for the adapter. */
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
export function cacheOf({ network }: LoadedModel): KVCache {
  return network.cache("f32");
}

/** Timings of decoding. */
export interface Decoded {
  readonly tokens: number;
  /** Time between the first and the last token. */
  readonly msPerToken: number;
  readonly submissionsPerToken: number;
  readonly readbacksPerToken: number;
}

/** Minimum and maximum decoded tokens. */
const LEAST_TOKENS = 33;
const MOST_TOKENS = 257;

/**
 * Decodes like an answer from the logits of a prompt, for about the given time; `stepMs` is the expected duration of a step. The cache
 * is restored.
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

/** Measures one warmed-up decode step: milliseconds, and dispatches per layer and in total. */
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
    const sampler = owner.run(() => new Sampler(device, rules));
    const x = owner.run(() => device.upload(new Float32Array(geometry.text.width), [1, geometry.text.width], "x"));
    device.write(sampler.token, Uint32Array.of(1));
    const start = counters.dispatches;
    device.scope(() => void language.layers[0]!.forward(x, [{ cache, rows: 1 }]));
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
