import { argmax } from "../kernels/argmax.js";
import { KernelError } from "../runtime/errors.js";
import type { Tensor } from "../runtime/tensor.js";

export interface SamplerOptions {
  /** Divides the logits of tokens that the answer already has (multiplies negative ones); 1 leaves them. */
  readonly repetitionPenalty: number;
  /** Tokens before which no end token may come. */
  readonly minNewTokens: number;
  readonly endTokens: readonly number[];
  /** Ids below this may be chosen: rows beyond the tokenizer are padding. */
  readonly allowed: number;
}

/** Chooses the next token: the most probable. */
export class Sampler {
  constructor(readonly options: SamplerOptions) {}

  /** logits `[1, V]`; `tokens` are the answer's so far. Throws KernelError if no logit is a number. */
  async pick(logits: Tensor, tokens: readonly number[]): Promise<number> {
    const { repetitionPenalty, minNewTokens, allowed } = this.options;
    const plain = repetitionPenalty === 1 && tokens.length >= minNewTokens;
    const token = plain ? await this.#onDevice(logits) : this.#onHost(await logits.read(), tokens);
    if (token < allowed) return token;
    throw new KernelError({
      where: "logits",
      expected: "numbers",
      got: "none: every one is NaN",
      remedy: "check the checkpoint's weights; report this with the output of `ocellus doctor`",
    });
  }

  async #onDevice(logits: Tensor): Promise<number> {
    const best = logits.device.scope(() => argmax(logits, this.options.allowed));
    try {
      return (await best.read("u32"))[0]!;
    } finally {
      best.dispose();
    }
  }

  #onHost(logits: Float32Array, tokens: readonly number[]): number {
    const { repetitionPenalty, minNewTokens, endTokens, allowed } = this.options;
    for (const token of new Set(tokens)) {
      const logit = logits[token]!;
      logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
    if (tokens.length < minNewTokens) for (const token of endTokens) logits[token] = Number.NEGATIVE_INFINITY;
    let best = allowed;
    for (let i = 0; i < allowed; i++) {
      if (best === allowed ? !Number.isNaN(logits[i]!) : logits[i]! > logits[best]!) best = i;
    }
    return best;
  }
}
