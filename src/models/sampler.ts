import { type ChoiceState, chooseToken } from "../kernels/choose-token.js";
import type { Device } from "../runtime/device.js";
import { KernelError } from "../runtime/errors.js";
import type { Tensor } from "../runtime/tensor.js";
import type { SamplingOptions } from "./generate-options.js";

export interface SamplerOptions extends Omit<SamplingOptions, "seed"> {
  /** Where draws begin; wanted where there is a temperature. */
  readonly seed?: number | undefined;
  /** Tokens before which no end token may come. */
  readonly minNewTokens?: number;
  readonly eosTokens: readonly number[];
  /** Ids below this may be chosen: rows beyond the tokenizer are padding. */
  readonly allowed: number;
}

/** Chooses the next token, the most probable or a sampling, on the device: nothing of it comes to the host before it is fed back. */
export class Sampler {
  readonly #state: ChoiceState;
  readonly #mask: Tensor | undefined;
  readonly #penalties: { repetition: number; presence: number; frequency: number };

  /** Allocates in the current owner of memory; `most` tokens at most are chosen before they are read. */
  constructor(
    readonly device: Device,
    readonly options: SamplerOptions,
    most: number,
    /** Whether `allow` says which tokens may come. */
    readonly masked = false,
  ) {
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, allowed } = options;
    this.#penalties = { repetition: repetitionPenalty, presence: presencePenalty, frequency: frequencyPenalty };
    const penalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    this.#state = {
      token: device.empty([1], "u32", "token"),
      answer: device.empty([most], "u32", "answer"),
      counts: penalised ? device.upload(new Uint32Array(allowed), [allowed], "counts") : undefined,
    };
    if (masked || options.minNewTokens) this.#mask = device.upload(this.#unended(), [Math.ceil(allowed / 32)], "mask");
  }

  /** The token chosen last, `[1]` u32. */
  get token(): Tensor {
    return this.#state.token;
  }

  /** The tokens chosen, u32, where `choose` put them. */
  get answer(): Tensor {
    return this.#state.answer;
  }

  /** Says which tokens may come next, a bit each: `[ceil(allowed / 32)]`. */
  allow(mask: Uint32Array): void {
    this.device.write(this.#mask!, mask);
  }

  /** Records the choice of the answer's token `index` from logits `[1, V]`; it is written to place `at` of `answer`. */
  choose(logits: Tensor, index: number, at: number): void {
    const { allowed, temperature = 0, topK = 0, topP = 1, minP = 0, minNewTokens = 0, seed = 0 } = this.options;
    this.device.scope(() =>
      chooseToken(logits, this.#state, {
        count: allowed,
        at,
        penalties: this.#penalties,
        mask: this.masked || index < minNewTokens ? this.#mask : undefined,
        sampling: temperature > 0 ? { temperature, topK, topP, minP, rngKey: rngKey(seed, index) } : undefined,
      }),
    );
  }

  /** Throws KernelError for a token that was chosen where no logit was a number. */
  check(token: number): void {
    if (token < this.options.allowed) return;
    throw new KernelError({
      where: "logits",
      expected: "numbers",
      got: "none: every one is NaN",
      remedy: "check the checkpoint's weights; report this with the output of `ocellus doctor`",
    });
  }

  /** Every token but those that end an answer. */
  #unended(): Uint32Array {
    const { allowed, eosTokens } = this.options;
    const mask = new Uint32Array(Math.ceil(allowed / 32)).fill(0xffffffff);
    for (const token of eosTokens) if (token < allowed) mask[token >>> 5]! &= ~(1 << (token & 31));
    return mask;
  }
}

/** What the sampling of the answer's token `index` hangs on. */
export function rngKey(seed: number, index: number): [number, number] {
  const upper = Math.floor(seed / 2 ** 32);
  const lower = seed >>> 0;
  return [mixed(mixed(upper ^ 0x9e3779b9) ^ index), mixed(mixed(lower) + index)];
}

/** The finalizer known as lowbias32: every bit of the result hangs on every bit of n. */
function mixed(n: number): number {
  let m = Math.imul(n ^ (n >>> 16), 0x7feb352d);
  m = Math.imul(m ^ (m >>> 15), 0x846ca68b);
  return (m ^ (m >>> 16)) >>> 0;
}
