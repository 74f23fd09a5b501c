import { LimitError } from "../../base/errors.js";
import type { TensorIndex } from "../../io/checkpoint.js";
import { planAnyres } from "../../io/picture-input.js";
import type { CacheType } from "../../kernels/kv-format.js";
import type { RowPiece } from "../../kernels/resample.js";
import type { KVCache } from "../../layers/kv-cache.js";
import { streamedTables } from "../../layers/streamed-tables.js";
import { CHUNK_BYTES, type StoredType, WeightLoader } from "../../layers/weights.js";
import type { Arena } from "../../runtime/arena.js";
import { Device } from "../../runtime/device.js";
import { type DryRunFacts, DryRunGPU } from "../../runtime/dry-run-gpu.js";
import type { Tensor } from "../../runtime/tensor.js";
import { Sampler } from "../chat/sampler.js";
import type { LlavaOneVisionConfig } from "../llava-onevision/config.js";
import type { DtypeByPart } from "../llava-onevision/dtype-by-part.js";
import { type Chunk, recordLayers } from "../llava-onevision/layer-pass.js";
import type { ModelPlan } from "../llava-onevision/model-plan.js";
import { Network } from "../llava-onevision/network.js";
import { FeaturePacking } from "../llava-onevision/pack-features.js";
import {
  type PackingPlan,
  packImage,
  packPadImage,
  packVideo,
  padImageTokens,
  planImage,
  videoTokens,
} from "../llava-onevision/packing.js";
import { FRAMES_A_SEGMENT } from "../llava-onevision/processor.js";
import { promptChunks } from "../llava-onevision/waited-pass.js";

/** Bytes of each part's weights on the adapter, including padding and computed tables. */
export type BytesByPart = Readonly<Record<keyof DtypeByPart, number>>;

/** The usage that a footprint assumes. */
export interface Use {
  readonly cacheType: CacheType;
  /** Tokens of prompt and answer. */
  readonly contextTokens: number;
  /** Tiles of one picture, or frames of a clip. */
  readonly tiles: number;
  /** Maximum size of the vision cache. */
  readonly visionCacheBytes: number;
  /** Which layers of the decoder stay on the device; undefined for all. */
  readonly plan?: ModelPlan | undefined;
}

export interface Footprint {
  readonly weights: BytesByPart;
  readonly cacheBytes: number;
  /** Maximum size of the vision cache; 0 without media. */
  readonly visionCacheBytes: number;
  /** Peak of all other pool memory. */
  readonly activationBytes: number;
  /** Tiles and visual tokens of the assumed medium. */
  readonly tiles: number;
  readonly visualTokens: number;
  /** Weights of a layer of the decoder that streams; 0 if all stay. */
  readonly layerBytes: number;
  /** Layers that the ring has room for. */
  readonly slots: number;
  /** Bytes of the head that a pass uploads; 0 where it stays. */
  readonly headBytes: number;
}

/** All layers stream. One is computed while the next is read. */
export const LAYERS_PLAN: ModelPlan = { resident: 0, slots: 2 };

/** The vision tower, the embedding table and the head too: the least memory. */
export const LEAST_PLAN: ModelPlan = { ...LAYERS_PLAN, everything: streamedTables };

export const STREAMING_PLANS: readonly ModelPlan[] = [LAYERS_PLAN, LEAST_PLAN];

/** A checkpoint with its headers read. */
export interface Described {
  readonly name: string;
  readonly index: TensorIndex;
  readonly config: LlavaOneVisionConfig;
}

/** A picture or a segment of a clip's frames, as input of the vision tower. */
interface Medium {
  readonly tiles: number;
  readonly plan: PackingPlan;
}

/**
 * Sixteenths by which tried pictures are narrower or lower than a canvas: as many tiles, but fewer tokens than one that fills
 * it.
 */
const SHRUNK = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;

/** Returns the medium with the most tiles, at most `most`, whose visual tokens fit the context. */
function widestMedium(config: LlavaOneVisionConfig, most: number, contextTokens: number): Medium | undefined {
  const { grids, maxTiles } = config;
  const { tileSide, cells } = config.vision;
  const fitting: { tiles: number; tokens: number; plan: () => PackingPlan }[] = [];
  const add = (tiles: number, tokens: number, plan: () => PackingPlan): void => {
    if (tiles <= most && tokens <= contextTokens) fitting.push({ tiles, tokens, plan });
  };
  add(1, padImageTokens(cells), () => packPadImage(cells));
  for (const [right, bottom] of grids) {
    for (const [x, y] of SHRUNK.flatMap((part) => [[part, 0] as const, [0, part] as const])) {
      const [width, height] = [right - Math.floor((right * x) / 16), bottom - Math.floor((bottom * y) / 16)];
      const cut = planAnyres(width, height, grids, tileSide);
      const packing = planImage(width, height, cut, cells, maxTiles);
      add(1 + cut.columns * cut.rows, packing.tokens, () => packImage(packing, cut, cells));
    }
  }
  for (let frames = 1; frames <= Math.min(most, FRAMES_A_SEGMENT); frames++) {
    add(frames, videoTokens(frames, cells), () => packVideo(frames, cells));
  }
  const [widest] = fitting.sort((a, b) => b.tiles - a.tiles || b.tokens - a.tokens);
  return widest && { tiles: widest.tiles, plan: widest.plan() };
}

/** Builds the model on a mock GPU that only counts allocations. Throws CheckpointError as loading does; LimitError. */
function dryRun(
  { name, index, config }: Described,
  dtype: DtypeByPart,
  facts: DryRunFacts,
  plan: ModelPlan | undefined,
) {
  const counter = new DryRunGPU(facts);
  const device = Device.from(counter.gpu);
  const loader = new WeightLoader(device, index);
  const arena = device.arena("model");
  const network = arena.run(
    () => new Network(loader.root(), config, dtype, device.empty([3, 256], "f32", "levels"), plan),
  );
  loader.check(name, (tensor) => config.layout.ignored(tensor));
  return { counter, device, arena, network, storageDtypes: loader.storageDtypes };
}

/** Returns the size of the weights with storage dtypes `dtype`, and the resulting types of each part's matrices. */
export function weightsOf(
  described: Described,
  dtype: DtypeByPart,
  facts: DryRunFacts,
  plan?: ModelPlan,
): { weights: BytesByPart; storageDtypes: Readonly<Record<keyof DtypeByPart, ReadonlySet<StoredType>>> } {
  const { arena, network, storageDtypes } = dryRun(described, dtype, facts, plan);
  const part = partOf(described.config);
  const types = { vision: new Set(), projector: new Set(), language: new Set(), embed: new Set() } as Record<
    keyof DtypeByPart,
    Set<StoredType>
  >;
  for (const [name, type] of storageDtypes) types[part(name)].add(type);
  return { weights: byPart([arena, ...slotsOf(network)], part), storageDtypes: types };
}

/** Measures the memory of one question by a dry run of the real model code on a mock GPU. */
export function footprint(described: Described, dtype: DtypeByPart, use: Use, facts: DryRunFacts): Footprint {
  const { counter, device, arena, network } = dryRun(described, dtype, facts, use.plan);
  const { slots } = network.language.store;
  const weights = byPart([arena, ...slotsOf(network)], partOf(described.config));
  const model = counter.heldBytes;
  const cache = network.cache(use.cacheType, use.contextTokens);
  cache.reserve(use.contextTokens);
  const cacheBytes = counter.heldBytes - model;
  const medium = widestMedium(described.config, use.tiles, use.contextTokens);
  // Layers that stream are read in pieces while others are computed.
  if (slots.length > 0) arena.run(() => device.empty([pieceBytes(facts) / 4], "u32", "piece"));
  ask(network, cache, use, medium);
  return {
    weights,
    cacheBytes,
    visionCacheBytes: medium ? use.visionCacheBytes : 0,
    activationBytes: counter.peakBytes - model - cacheBytes,
    tiles: medium?.tiles ?? 0,
    visualTokens: medium?.plan.tokens ?? 0,
    layerBytes: slots.length > 0 ? bytesOf(slots[0]!) : 0,
    slots: slots.length,
    headBytes: network.language.tables?.head.sizeBytes ?? 0,
  };
}

/** Size of a piece of weights that is read, as the loader allocates it. */
function pieceBytes({ maxBindingBytes }: DryRunFacts): number {
  return Math.min(CHUNK_BYTES, Math.floor(maxBindingBytes / 4) * 4);
}

function slotsOf({ stores }: Network): Arena[] {
  return stores.flatMap(({ slots }) => slots);
}

function bytesOf({ blocks }: Arena): number {
  return [...blocks].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Returns the minimum binding size with which the model can be built and used: the largest tensor that is not split. */
export function neededBinding(described: Described, dtype: DtypeByPart, use: Use, facts: DryRunFacts): number {
  for (let bytes = 1; ; ) {
    try {
      footprint(described, dtype, use, { ...facts, maxBindingBytes: bytes, maxBufferBytes: bytes });
      return bytes;
    } catch (cause) {
      if (!(cause instanceof LimitError && (cause.neededBytes ?? 0) > bytes)) throw cause;
      bytes = cause.neededBytes!;
    }
  }
}

/** Dry-runs the worst-case question: a prompt of visual tokens only, with the widest medium, and a sampled answer. */
function ask(network: Network, cache: KVCache, { contextTokens }: Use, medium: Medium | undefined): void {
  const { device, config } = network;
  const { text } = config;
  const owner = device.arena("answer");
  const visual: RowPiece[] = medium ? [{ first: 0, tensor: owner.run(() => see(network, medium)) }] : [];
  const rest = contextTokens - (medium?.plan.tokens ?? 0);
  if (medium && rest > 0) {
    visual.push({
      first: medium.plan.tokens,
      tensor: owner.run(() => device.empty([rest, text.width], "f32", "packed")),
    });
  }
  const logits = network.streams
    ? promptOverLayers(network, cache, contextTokens, visual, owner)
    : promptInChunks(network, cache, contextTokens, visual, owner);
  const rules = { temperature: 1, topK: 40, topP: 0.9, repetitionPenalty: 1.1, eosTokens: [], minNewTokens: 1 };
  owner.run(() => {
    const sampler = new Sampler(device, { ...rules, allowed: text.vocabulary });
    sampler.choose(logits, 0, 0);
    logits.dispose();
    cache.length = contextTokens - 1;
    device.scope(() => {
      if (!network.streams) return sampler.choose(network.step(sampler.token, cache), 1, 0);
      const x = (arena: Arena): Tensor => arena.run(() => network.embed(Uint32Array.of(0), cache.length, []));
      const sequences = [{ cache, rows: 1 }];
      const hidden = overLayers(network, (arena) => [{ x: x(arena), sequences, positions: [cache.length] }]);
      sampler.choose(network.lastLogits(hidden), 1, 0);
      hidden.dispose();
    });
  });
  owner.dispose();
}

/** Logits of a prompt that fills the context. All chunks have the same shape: one fills the cache, the last one also computes logits. */
function promptInChunks(
  network: Network,
  cache: KVCache,
  contextTokens: number,
  visual: readonly RowPiece[],
  owner: Arena,
): Tensor {
  const { device } = network;
  const rows = Math.min(network.rowsPerChunk, contextTokens);
  const first = contextTokens - rows;
  const ids = new Uint32Array(rows);
  cache.length = first;
  owner.run(() => device.scope(() => void network.decode(ids, first, visual, cache)));
  cache.length = first;
  return owner.run(() => network.next(ids, first, visual, cache));
}

/** The same layer by layer over all chunks. */
function promptOverLayers(
  network: Network,
  cache: KVCache,
  contextTokens: number,
  visual: readonly RowPiece[],
  owner: Arena,
): Tensor {
  const ids = new Uint32Array(contextTokens);
  cache.length = 0;
  const hidden = overLayers(network, (arena) => promptChunks(network, ids, 0, visual, cache, arena));
  const logits = owner.run(() => network.lastLogits(hidden));
  hidden.dispose();
  return logits;
}

/** Hidden states of the last chunk, of a pass that waits for no layer. */
function overLayers({ device, language }: Network, begin: (arena: Arena) => Chunk[]): Tensor {
  const arena = device.arena("pass");
  const chunks = begin(arena);
  for (const layer of recordLayers(language, chunks, arena)) void layer;
  for (const { x } of chunks.slice(0, -1)) x.dispose();
  return chunks.at(-1)!.x;
}

/** Computes the visual tokens of a medium in batches of tiles. */
function see(network: Network, { tiles, plan }: Medium) {
  const { device, config, tilesPerBatch } = network;
  const { tileSide, cells } = config.vision;
  return device.scope(() => {
    const packing = new FeaturePacking(network.newline, plan);
    for (let first = 0; first < tiles; first += tilesPerBatch) {
      const count = Math.min(tilesPerBatch, tiles - first);
      const tensor = network.project(new Uint8Array(count * tileSide ** 2 * 3), count);
      packing.add({ first: first * cells ** 2, tensor });
      tensor.dispose();
    }
    return packing.finish();
  });
}

/** Returns the part that a tensor belongs to, by its checkpoint name or label. */
function partOf({ layout }: LlavaOneVisionConfig): (name: string) => keyof DtypeByPart {
  return (name) => {
    const below = (prefix: string | undefined): boolean => prefix !== undefined && `${name}.`.startsWith(`${prefix}.`);
    if (below(layout.vision) || name === "levels") return "vision";
    if (layout.projector.some(below) || below(layout.newline)) return "projector";
    if (below(`${layout.language}.embed_tokens`) || below(layout.head)) return "embed";
    return "language";
  };
}

function byPart(arenas: readonly Arena[], part: (name: string) => keyof DtypeByPart): BytesByPart {
  const bytes = { vision: 0, projector: 0, language: 0, embed: 0 };
  // Blocks of a matrix are numbered after "#".
  for (const { blocks } of arenas) {
    for (const block of blocks) bytes[part(block.buffer.label.replace(/#\d+$/, ""))] += block.sizeBytes;
  }
  return bytes;
}
