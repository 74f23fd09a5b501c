import { type ChoiceMethod, chooseToken } from "../../kernels/choose-token.js";
import type { RowChoice, RowPlace } from "../../kernels/choose-tokens.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { SamplingOptions } from "./generate-options.js";
import { NoNumbers } from "./no-numbers.js";
import { MOST_CHOICES, SamplerRows, type SharedRow } from "./sampler-rows.js";

export interface SamplerOptions extends Omit<SamplingOptions, "seed" | "logitBias"> {
  /** Bias of every token, `[allowed]`. */
  readonly bias?: Float32Array | undefined;
  /** Random seed; required with a temperature. */
  readonly seed?: number | undefined;
  /** Tokens of the answer so far, which the penalties count. */
  readonly given?: readonly number[];
  /** Minimum number of tokens before an EOS token. */
  readonly minNewTokens?: number;
  readonly eosTokens: readonly number[];
  /** Tokens with ids below this may be chosen: rows beyond the tokenizer's vocabulary are padding. */
  readonly allowed: number;
}

/**
 * Lower temperatures mean greedy decoding, as in vLLM: logits over them lose the noise to rounding, then overflow. At this one, the noise
 * decides only between logits that differ by less than 0.0002.
 */
const LEAST_TEMPERATURE = 1e-5;

/** Chooses the next token on the device, greedily or by sampling, without a host round trip. */
export class Sampler {
  readonly #token!: SharedRow;
  readonly #answer!: SharedRow;
  readonly #counts: SharedRow | undefined;
  readonly #bias: SharedRow | undefined;
  readonly #mask: SharedRow | undefined;
  readonly #penalties: { repetition: number; presence: number; frequency: number };

  /** Takes rows of tensors that it shares with the samplers of other sequences, or allocates its own in the current arena. */
  constructor(
    readonly device: Device,
    readonly options: SamplerOptions,
    /** Whether `allow` sets the mask of allowed tokens. */
    readonly masked = false,
    rows = new SamplerRows(device, options.allowed),
  ) {
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
    this.#penalties = { repetition: repetitionPenalty, presence: presencePenalty, frequency: frequencyPenalty };
    const penalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    try {
      this.#token = rows.tokens.take();
      this.#answer = rows.answers.take();
      if (penalised) this.#counts = rows.counts.take(this.#given());
      this.#bias = options.bias && rows.biases.take(options.bias);
      if (masked || options.minNewTokens) this.#mask = rows.masks.take(this.#withoutEos());
    } catch (cause) {
      this.dispose();
      throw cause;
    }
  }

  /** The last chosen token, `[1]` u32. */
  get token(): Tensor {
    return this.#token.part(1);
  }

  /** The chosen tokens, u32, at the indices passed to `choose`, which are below `MOST_CHOICES`. */
  get answer(): Tensor {
    return this.#answer.part(MOST_CHOICES);
  }

  /** Sets the mask of allowed tokens, one bit per token: `[ceil(allowed / 32)]`. */
  allow(mask: Uint32Array): void {
    this.device.write(this.#mask!.part(mask.length), mask);
  }

  /** Records the choice of the answer's token `index` from logits `[1, V]`; writes it to `answer[at]`. */
  choose(logits: Tensor, index: number, at: number): void {
    const { allowed } = this.options;
    const state = { token: this.token, answer: this.answer, counts: this.#counts?.part(allowed) };
    const bias = this.#bias?.part(allowed);
    const mask = this.#masks(index) ? this.#mask?.part(Math.ceil(allowed / 32)) : undefined;
    this.device.scope(() => chooseToken(logits, state, { ...this.#method(index, at), bias, mask }));
  }

  /** The same from logits in a tensor with those of several sequences, for `chooseTokens`. */
  choiceFrom(logits: RowPlace, index: number, at: number): RowChoice {
    return {
      ...this.#method(index, at),
      logits,
      token: this.#token.place,
      answer: this.#answer.place,
      counts: this.#counts?.place,
      bias: this.#bias?.place,
      mask: this.#masks(index) ? this.#mask?.place : undefined,
    };
  }

  /** Releases its rows. */
  dispose(): void {
    for (const row of [this.#token, this.#answer, this.#counts, this.#bias, this.#mask]) row?.release();
  }

  /** Whether the mask applies to the answer's token `index`. */
  #masks(index: number): boolean {
    return this.masked || index < (this.options.minNewTokens ?? 0);
  }

  #method(index: number, at: number): ChoiceMethod {
    const { allowed, temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0 } = this.options;
    // The most likely token alone has at least the probability 1 / allowed.
    const samples = temperature >= LEAST_TEMPERATURE && topP > 1 / allowed;
    const sampling = samples ? { temperature, topK, topP, minP, rngKey: rngKey(seed, index) } : undefined;
    return { count: allowed, at, penalties: this.#penalties, sampling };
  }

  /** Throws KernelError for the token of an all-NaN row of logits. */
  check(token: number): void {
    if (token < this.options.allowed) return;
    throw new NoNumbers();
  }

  /** Occurrences of each token in the answer so far. */
  #given(): Uint32Array {
    const counts = new Uint32Array(this.options.allowed);
    for (const token of this.options.given ?? []) counts[token]!++;
    return counts;
  }

  /** The mask of all tokens except EOS tokens. */
  #withoutEos(): Uint32Array {
    const { allowed, eosTokens } = this.options;
    const mask = new Uint32Array(Math.ceil(allowed / 32)).fill(0xffffffff);
    for (const token of eosTokens) if (token < allowed) mask[token >>> 5]! &= ~(1 << (token & 31));
    return mask;
  }
}

/** Derives the RNG key of the answer's token `index` from the random seed. */
export function rngKey(seed: number, index: number): [number, number] {
  const upper = Math.floor(seed / 2 ** 32);
  const lower = seed >>> 0;
  return [mixed(mixed(upper ^ 0x9e3779b9) ^ index), mixed(mixed(lower) + index)];
}

/** The 32-bit hash finalizer lowbias32 (C. Wellons, "hash-prospector"): every output bit depends on every input bit. */
function mixed(n: number): number {
  let m = Math.imul(n ^ (n >>> 16), 0x7feb352d);
  m = Math.imul(m ^ (m >>> 15), 0x846ca68b);
  return (m ^ (m >>> 16)) >>> 0;
}
