import { TextStream } from "../../io/detokenizer.js";
import type { Tokenizer } from "../../io/tokenizer.js";
import type { AnswerResult, AnswerWriter, TokenLogprob } from "./answer.js";
import type { GenerateOptions } from "./generate-options.js";
import { logprobsOf } from "./logprobs.js";
import type { Choice } from "./reads.js";
import { StopSequences } from "./stop-sequence.js";

/** Assembles an answer's text from its tokens, streams it, and detects its end. */
export class AnswerText {
  readonly tokens: number[] = [];
  finishReason: AnswerResult["finishReason"] = "length";
  /** The random seed of sampling. */
  readonly seed: number | undefined;
  readonly #logprobs: TokenLogprob[] = [];
  readonly #stream: TextStream;
  readonly #stop: StopSequences;
  #text = "";

  constructor(
    readonly tokenizer: Tokenizer,
    readonly options: Pick<GenerateOptions, "stop" | "temperature" | "seed" | "logprobs" | "topLogprobs">,
    readonly writer: AnswerWriter,
  ) {
    this.#stream = new TextStream(tokenizer, { skipSpecialTokens: true });
    this.#stop = new StopSequences(options.stop);
    if ((options.temperature ?? 0) > 0) this.seed = options.seed ?? Math.floor(Math.random() * 2 ** 53);
  }

  /** Adds the next token; returns whether it ends the answer. */
  ends({ token, logits }: Choice, eosTokens: readonly number[]): boolean {
    if (eosTokens.includes(token)) {
      this.finishReason = "stop";
      return true;
    }
    this.tokens.push(token);
    const logprob = logits && logprobsOf(logits, token, this.options.topLogprobs ?? 0, this.tokenizer);
    if (logprob) this.#logprobs.push(logprob);
    this.#emit(this.#stop.push(this.#stream.push(token)), { token, ...(logprob && { logprob }) });
    if (this.#stop.found !== undefined) this.finishReason = "stop";
    else if (this.writer.enough.aborted) this.finishReason = "stopped";
    return this.finishReason !== "length";
  }

  /** Emits the text that was held back. */
  finish(): void {
    const rest = this.#stop.push(this.#stream.finish());
    const text = this.#stop.found === undefined ? rest + this.#stop.finish() : rest;
    if (text !== "") this.#emit(text);
  }

  result(): Pick<AnswerResult, "text" | "tokens" | "finishReason" | "stopString" | "seed" | "logprobs"> {
    return {
      text: this.#text,
      tokens: this.tokens,
      finishReason: this.finishReason,
      ...(this.#stop.found !== undefined && { stopString: this.#stop.found }),
      ...(this.seed !== undefined && { seed: this.seed }),
      ...(this.options.logprobs && { logprobs: this.#logprobs }),
    };
  }

  #emit(text: string, about: { token?: number; logprob?: TokenLogprob } = {}): void {
    this.#text += text;
    this.writer.emit({ text, ...about });
  }
}
