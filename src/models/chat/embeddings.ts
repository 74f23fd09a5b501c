import { unlessAborted } from "../../base/abort.js";
import {
  ContextOverflowError,
  KernelError,
  OptionError,
  PromptError,
  shown,
  throwIfAborted,
} from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { SpecialTokens } from "../llava-onevision/literal-text.js";
import type { ImageContent, PreparedPrompt, VideoContent } from "../llava-onevision/processor.js";
import type { AnswerProgress } from "./answer.js";
import { copiedPart } from "./cached-media.js";
import { checkPromptOptions, PROMPT_OPTIONS, type PromptOptions } from "./generate-options.js";
import type { ModelInternals } from "./model-internals.js";
import { PromptPass } from "./prompt-pass.js";
import type { Sequence } from "./sequence.js";

/** Options of picture and clip embeddings. */
export interface EmbedMediaOptions extends PromptOptions {
  /**
   * "features": the vision tower's output per patch; "tokens": the visual tokens that the language model reads. "features" if
   * not given.
   */
  of?: "features" | "tokens";
  /** Scales the vector to length 1; true if not given. */
  normalise?: boolean;
  onProgress?: (progress: AnswerProgress) => void;
}

/** Options of text embeddings. */
export interface EmbedTextOptions {
  /** Mean pooling over the hidden states of all tokens, or the hidden state of the last token. "mean" if not given. */
  pooling?: "mean" | "last";
  /** Scales the vector to length 1; true if not given. */
  normalise?: boolean;
  /**
   * Whether special tokens such as `<|im_end|>` in the text are plain text ("literal", if not given) or parsed as tokens
   * ("parse").
   */
  specialTokens?: SpecialTokens;
  signal?: AbortSignal | undefined;
}

/** Embeddings of a picture or clip. */
export interface MediaEmbedding {
  /** Mean of the rows: `[width]`. */
  readonly embedding: Float32Array;
  /** `[rows, width]`: a row per patch of each tile (width 1152 for "features"), or per visual token (width D for "tokens"). */
  readonly rows: Float32Array;
  readonly shape: readonly [rows: number, width: number];
}

const KINDS = ["features", "tokens"] as const;
const POOLINGS = ["mean", "last"] as const;

/** Computes SigLIP's features `[N·P, 1152]` or the projected visual tokens `[M, D]` of one picture or clip. */
export async function embedMedia(
  model: ModelInternals,
  part: ImageContent | VideoContent,
  options: EmbedMediaOptions,
): Promise<MediaEmbedding> {
  const where = part.type === "image" ? "model.embedImage" : "model.embedVideo";
  checkOptions(where, options, [...PROMPT_OPTIONS, "of", "normalise", "onProgress"]);
  checkPromptOptions(where, options);
  const { of = "features", normalise = true, signal, onProgress } = options;
  if (!KINDS.includes(of)) throw unknownName(`${where}, of`, KINDS, of);
  model.check();
  const prompt = await model.processor.prepare([{ role: "user", content: [copiedPart(part, where)] }], options);
  return model.recovery.run(
    model,
    () => embedPrompt(model, prompt, { of, normalise, signal, onProgress }, where),
    options,
  );
}

async function embedPrompt(
  model: ModelInternals,
  prompt: PreparedPrompt,
  { of, normalise, signal, onProgress }: EmbedMediaOptions,
  where: string,
): Promise<MediaEmbedding> {
  const owner = new Arena(model.device, "embedding");
  const pass = new PromptPass(model, prompt, owner, { signal, onProgress });
  try {
    const parts: Float32Array[] = [];
    let width = 0;
    const take = async (tensor: Tensor): Promise<void> => {
      width = tensor.size(-1);
      parts.push(await unlessAborted(tensor.read(), signal, where));
      pass.check();
    };
    if (of === "tokens") {
      await pass.encodeMedia(0);
      for (const { tensor } of pass.visual) await take(tensor);
    } else {
      for await (const features of pass.features()) {
        await take(features);
        features.dispose();
      }
    }
    const rows = joined(parts);
    const embedding = mean(rows, width);
    if (!areFinite(embedding)) throw await notNumbers(where, model, prompt);
    return { embedding: normalise ? unit(embedding) : embedding, rows, shape: [rows.length / width, width] };
  } finally {
    pass.end();
    owner.dispose();
  }
}

/** Computes for each text the decoder's hidden states after its final norm, pooled to `[D]`. */
export async function embedTexts(
  model: ModelInternals,
  texts: readonly string[],
  options: EmbedTextOptions,
): Promise<Float32Array[]> {
  const where = "model.embedText";
  checkOptions(where, options, ["pooling", "normalise", "specialTokens", "signal"]);
  checkPromptOptions(where, options);
  const { pooling = "mean", normalise = true, signal } = options;
  if (!POOLINGS.includes(pooling)) throw unknownName(`${where}, pooling`, POOLINGS, pooling);
  model.check();
  const vectors: Float32Array[] = [];
  for (const text of texts) {
    throwIfAborted(signal, where);
    const ids = tokensOf(model, text, options, where);
    const hidden = await model.recovery.run(model, () => hiddenStates(model, ids, signal, where), { signal });
    const { width } = model.config.text;
    const vector = pooling === "mean" ? mean(hidden, width) : hidden.slice(-width);
    if (!areFinite(vector)) throw await notNumbers(where, model, { inputIds: [...ids], media: [] });
    vectors.push(normalise ? unit(vector) : vector);
  }
  return vectors;
}

function tokensOf(model: ModelInternals, text: unknown, options: EmbedTextOptions, where: string): Uint32Array {
  if (typeof text !== "string") throw badText(where, typeof text);
  const { tokenizer } = model.processor;
  const ids = Uint32Array.from(
    options.specialTokens === "parse" ? tokenizer.encode(text) : tokenizer.encodeLiteral(text),
  );
  if (ids.length === 0) throw badText(where, "an empty one");
  const { maxPositions } = model.config.text;
  if (ids.length <= maxPositions) return ids;
  throw new ContextOverflowError(
    {
      where,
      expected: `a text of at most ${maxPositions} tokens`,
      got: `${ids.length}`,
      remedy: "embed it in pieces",
    },
    ids.length,
    maxPositions,
  );
}

/** `[T, D]` */
async function hiddenStates(
  model: ModelInternals,
  ids: Uint32Array,
  signal: AbortSignal | undefined,
  where: string,
): Promise<Float32Array> {
  const { device, network, config } = model;
  const { faults } = device;
  const cache = network.cache(model.cacheType, config.text.maxPositions);
  const owner = new Arena(device, "embedding");
  try {
    cache.reserve(ids.length);
    const check = (): void => {
      model.check();
      device.check(faults);
    };
    const parts: Float32Array[] = [];
    const read = async (hidden: Tensor): Promise<void> => {
      parts.push(await unlessAborted(hidden.read(), signal, where));
      check();
      hidden.dispose();
    };
    if (network.waits) {
      for (const hidden of await network.passPrompt(ids, 0, [], cache, { owner, where, signal, check }))
        await read(hidden);
      return joined(parts);
    }
    for (let first = 0; first < ids.length; first += network.rowsPerChunk) {
      throwIfAborted(signal, where);
      const chunk = ids.subarray(first, first + network.rowsPerChunk);
      await read(owner.run(() => network.decode(chunk, first, [], cache)));
    }
    return joined(parts);
  } finally {
    owner.dispose();
    cache.dispose();
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function areFinite(vector: Float32Array): boolean {
  return vector.every(Number.isFinite);
}

/** The error that names the intermediate where numbers end. */
async function notNumbers(where: string, model: ModelInternals, sequence: Sequence): Promise<KernelError> {
  const { notFinite } = await import("./non-finite.js");
  const cause = new KernelError({
    where,
    expected: "numbers",
    got: "NaN or infinity",
    remedy: "check the checkpoint's weights; report this with the output of `ocellus doctor`",
  });
  return notFinite(cause, model, sequence);
}

/** Mean of rows `[rows, width]`, summed in float64. */
function mean(rows: Float32Array, width: number): Float32Array {
  const sums = new Float64Array(width);
  for (let i = 0; i < rows.length; i++) sums[i % width]! += rows[i]!;
  return Float32Array.from(sums, (sum) => (sum * width) / rows.length);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((x) => x / length) : vector;
}

function badText(where: string, got: string): PromptError {
  return new PromptError({ where, expected: "a text", got, remedy: "pass at least one word" });
}

function unknownName(where: string, known: readonly string[], got: unknown): OptionError {
  return new OptionError({
    where,
    expected: known.map((name) => JSON.stringify(name)).join(" or "),
    got: shown(got),
    remedy: "leave it out for the default",
  });
}
