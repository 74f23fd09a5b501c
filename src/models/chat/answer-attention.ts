import { unlessAborted } from "../../base/abort.js";
import { OptionError, throwIfAborted } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import { attentionWeights } from "../../kernels/attention-weights.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { Tensor } from "../../runtime/tensor.js";
import { type AttentionMap, attentionMaps } from "../llava-onevision/attention-map.js";
import type { ModelInternals } from "./model-internals.js";
import type { CachedPrefix } from "./prompt-pass.js";

/** Selects the attention weights to return. */
export interface AttentionOptions {
  /** Indices of the answer's tokens, from 0; their attention is averaged. All if not given. */
  tokens?: readonly number[];
  /** Layers of the decoder, from 0; averaged. All if not given. */
  layers?: readonly number[];
  /** Heads of each layer, from 0; averaged. All if not given. */
  heads?: readonly number[];
  signal?: AbortSignal | undefined;
}

/** Attention of an answer's tokens over the prompt. All values are fractions of one row's attention: text and media sum to 1. */
export interface AnswerAttention {
  readonly tokens: readonly number[];
  readonly layers: readonly number[];
  readonly heads: readonly number[];
  /** Attention on all text of the prompt and the answer; the first tokens of a prompt often get most of it (attention sinks). */
  readonly textShare: number;
  /** Pictures and clips in their order in the prompt. */
  readonly media: readonly AttendedMedium[];
}

/** A picture or clip, and the attention on it. */
export interface AttendedMedium {
  readonly kind: "image" | "video";
  /** Pixels of the picture, or of the clip's first frame. */
  readonly width: number;
  readonly height: number;
  /** Total attention on it, newline tokens and borders included. */
  readonly share: number;
  /** One for a picture, one per frame for a clip. */
  readonly maps: readonly AttentionMap[];
}

/** A session's last answer: length of its prompt, and number of its tokens. */
export interface Answered {
  readonly promptLength: number;
  readonly tokens: number;
}

const WHERE = "session.attention";

/**
 * Computes the decoder's attention for tokens of an answer that is in the KV cache. The row before each token is recomputed for its
 * queries; the cache is unchanged afterwards.
 */
export async function answerAttention(
  model: ModelInternals,
  cache: KVCache,
  prefix: CachedPrefix,
  answered: Answered,
  options: AttentionOptions,
): Promise<AnswerAttention> {
  const { config, device } = model;
  const { faults } = device;
  checkOptions(WHERE, options, ["tokens", "layers", "heads", "signal"]);
  model.network.checkOneDevice(WHERE);
  const tokens = numbers("tokens", options.tokens, answered.tokens);
  const layers = numbers("layers", options.layers, config.text.layers);
  const heads = numbers("heads", options.heads, config.text.heads);
  const { signal } = options;
  const sums = new Float64Array(answered.promptLength + answered.tokens);
  for (const token of tokens) {
    throwIfAborted(signal, WHERE);
    const row = answered.promptLength - 1 + token;
    const reads = await weightsAt(model, cache, row, prefix.ids[row]!, layers, signal);
    const rows = await unlessAborted(Promise.all(reads), signal, WHERE);
    model.check();
    device.check(faults);
    for (const bytes of rows) {
      const weights = new Float32Array(bytes); // [H, row + 1]
      for (const head of heads) {
        for (let i = 0; i <= row; i++) sums[i]! += weights[head * (row + 1) + i]!;
      }
    }
  }
  const average = Float32Array.from(sums, (sum) => sum / (tokens.length * layers.length * heads.length));
  const media = prefix.media.map((medium): AttendedMedium => {
    const weights = average.slice(medium.start, medium.start + medium.tokens);
    const { width, height } = medium.view;
    const share = weights.reduce((sum, weight) => sum + weight, 0);
    return { kind: medium.kind, width, height, share, maps: attentionMaps(medium, weights, config) };
  });
  const inMedia = (row: number): boolean =>
    prefix.media.some(({ start, tokens: own }) => row >= start && row < start + own);
  const textShare = average.reduce((sum, weight, row) => (inMedia(row) ? sum : sum + weight), 0);
  return { tokens, layers, heads, textShare, media };
}

/** Recomputes row `row` of the sequence, and reads the attention weights `[H, row + 1]` of each requested layer. */
async function weightsAt(
  { device, network, config }: ModelInternals,
  cache: KVCache,
  row: number,
  id: number,
  layers: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Promise<ArrayBuffer>[]> {
  const { heads, keyValueHeads, headSize } = config.text;
  const { language } = network;
  const reads: Promise<ArrayBuffer>[] = [];
  const watcher = (layer: number, q: Tensor): void => {
    if (!layers.includes(layer)) return;
    const k = { tensor: cache.keys[layer]!, first: 0 };
    const shape = { keys: row + 1, heads, keyValueHeads, headSize };
    const read = device.read(
      attentionWeights({ tensor: q, first: 0 }, k, shape, `blocks.${layer}.weights`, cache.table),
    );
    read.catch(() => {}); // thrown where all are awaited
    reads.push(read);
  };
  const token = (): Tensor => device.upload(Uint32Array.of(id), [1], "id");
  if (network.streams) {
    const owner = device.arena("attention");
    const around = (work: () => void, layer: number): void => cache.at(row, watcher, work, layer);
    const pass = { owner, where: WHERE, signal, around };
    try {
      await network.passPrompt(Uint32Array.of(id), row, [], cache, pass);
    } finally {
      owner.dispose();
    }
    return reads;
  }
  cache.at(row, watcher, () => {
    device.scope(() => void language.forward(language.embedding.forward(token()), [{ cache, rows: 1 }]));
  });
  return reads;
}

/** Validates indices below `count` and removes duplicates; all indices if none are given. */
function numbers(name: string, given: readonly number[] | undefined, count: number): number[] {
  const all = given ?? Array.from({ length: count }, (_, i) => i);
  if (Array.isArray(all) && all.length > 0 && all.every((i) => Number.isInteger(i) && i >= 0 && i < count))
    return [...new Set(all)];
  throw new OptionError({
    where: `${WHERE}, ${name}`,
    expected: `numbers from 0 to ${count - 1}`,
    got: JSON.stringify(given),
    remedy: "leave it out for all",
  });
}
