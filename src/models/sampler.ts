import { type ChoiceState, chooseToken } from "../kernels/argmax.js";
import type { Device } from "../runtime/device.js";
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

/** Chooses the next token, the most probable, on the device: nothing of it comes to the host before it is fed back. */
export class Sampler {
  readonly #state: ChoiceState;

  /** Allocates in the current owner of memory; `most` tokens at most are chosen before they are read. */
  constructor(
    device: Device,
    readonly options: SamplerOptions,
    most: number,
  ) {
    const { repetitionPenalty, minNewTokens, endTokens, allowed } = options;
    const ruled = repetitionPenalty !== 1 || minNewTokens > 0;
    const marks = new Uint32Array(ruled ? Math.ceil(allowed / 16) : 1);
    if (ruled) for (const token of endTokens) if (token < allowed) marks[token >> 4]! |= 2 << (2 * (token & 15));
    this.#state = {
      token: device.empty([1], "u32", "token"),
      answer: device.empty([most], "u32", "answer"),
      marks: device.upload(marks, [marks.length], "marks"),
    };
  }

  /** The token chosen last, `[1]` u32. */
  get token(): Tensor {
    return this.#state.token;
  }

  /** The tokens chosen, u32, where `choose` put them. */
  get answer(): Tensor {
    return this.#state.answer;
  }

  /** Records the choice of the answer's token `index` from logits `[1, V]`; it is written to place `at` of `answer`. */
  choose(logits: Tensor, index: number, at: number): void {
    const { repetitionPenalty, minNewTokens, allowed } = this.options;
    const rules = { count: allowed, penalty: repetitionPenalty, banned: index < minNewTokens, at };
    logits.device.scope(() => chooseToken(logits, this.#state, rules));
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
}
