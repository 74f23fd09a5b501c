import { KernelError } from "../../base/errors.js";
import { type ChoiceState, chooseToken } from "../../kernels/choose-token.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { SamplingOptions } from "./generate-options.js";

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

/** No logit of a row is a number. */
export class NoNumbers extends KernelError {}

/** Chooses the next token on the device, greedily or by sampling, without a host round trip. */
export class Sampler {
  readonly #state: ChoiceState;
  readonly #mask: Tensor | undefined;
  readonly #bias: Tensor | undefined;
  readonly #penalties: { repetition: number; presence: number; frequency: number };

  /** Allocates in the current arena; at most `most` tokens are chosen per readback. */
  constructor(
    readonly device: Device,
    readonly options: SamplerOptions,
    most: number,
    /** Whether `allow` sets the mask of allowed tokens. */
    readonly masked = false,
  ) {
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, allowed } = options;
    this.#penalties = { repetition: repetitionPenalty, presence: presencePenalty, frequency: frequencyPenalty };
    const penalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    this.#state = {
      token: device.empty([1], "u32", "token"),
      answer: device.empty([most], "u32", "answer"),
      counts: penalised ? device.upload(this.#counts(), [allowed], "counts") : undefined,
    };
    this.#bias = options.bias && device.upload(options.bias, [allowed], "bias");
    if (masked || options.minNewTokens)
      this.#mask = device.upload(this.#withoutEos(), [Math.ceil(allowed / 32)], "mask");
  }

  /** The last chosen token, `[1]` u32. */
  get token(): Tensor {
    return this.#state.token;
  }

  /** The chosen tokens, u32, at the indices passed to `choose`. */
  get answer(): Tensor {
    return this.#state.answer;
  }

  /** Sets the mask of allowed tokens, one bit per token: `[ceil(allowed / 32)]`. */
  allow(mask: Uint32Array): void {
    this.device.write(this.#mask!, mask);
  }

  /** Records the choice of the answer's token `index` from logits `[1, V]`; writes it to `answer[at]`. */
  choose(logits: Tensor, index: number, at: number): void {
    const { allowed, temperature = 0, topK = 0, topP = 1, minP = 0, minNewTokens = 0, seed = 0 } = this.options;
    // The most likely token alone has at least the probability 1 / allowed.
    const samples = temperature >= LEAST_TEMPERATURE && topP > 1 / allowed;
    this.device.scope(() =>
      chooseToken(logits, this.#state, {
        count: allowed,
        at,
        penalties: this.#penalties,
        bias: this.#bias,
        mask: this.masked || index < minNewTokens ? this.#mask : undefined,
        sampling: samples ? { temperature, topK, topP, minP, rngKey: rngKey(seed, index) } : undefined,
      }),
    );
  }

  /** Throws KernelError for the token of an all-NaN row of logits. */
  check(token: number): void {
    if (token < this.options.allowed) return;
    throw new NoNumbers({
      where: "logits",
      expected: "numbers",
      got: "none: every one is NaN",
      remedy: "check the checkpoint's weights; report this with the output of `ocellus doctor`",
    });
  }

  /** Occurrences of each token in the answer so far. */
  #counts(): Uint32Array {
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
