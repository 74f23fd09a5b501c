import { OptionError } from "../../base/errors.js";

/** A token and the natural logarithm of its probability under softmax(logits). */
export interface TokenChance {
  readonly token: number;
  /** Its text; incomplete UTF-8 sequences show as U+FFFD. */
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** A token of an answer with its logprob, and the `topLogprobs` most likely tokens at its position, in descending order. */
export interface TokenLogprob extends TokenChance {
  readonly top: readonly TokenChance[];
}

/** A piece of a streaming answer; `text` may be empty while a character or a stop sequence is incomplete. */
export interface AnswerPiece {
  readonly text: string;
  readonly token?: number;
  /** With `logprobs: true`. */
  readonly logprob?: TokenLogprob;
}

/** Duration of each stage, in seconds. `prefill` ends with the first token. */
export interface AnswerTimings {
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
  readonly total: number;
}

/** Token counts of an answer and its prompt. */
export interface AnswerUsage {
  readonly promptTokens: number;
  /** Prompt tokens reused from the KV cache. */
  readonly reusedTokens: number;
  /** Prompt tokens of pictures and clips. */
  readonly visualTokens: number;
  /** Tiles that the vision tower encoded; 0 for pictures whose visual tokens were cached. */
  readonly tiles: number;
  readonly completionTokens: number;
  /** Tokens that were drafted, and those of them that the answer has: each of these saved a pass. */
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  readonly totalTokens: number;
}

/** Progress of a running answer. "reload": the device was lost, and the model is being loaded again (`onDeviceLost: "reload"`). */
export interface AnswerProgress {
  readonly stage: "vision" | "prefill" | "decode" | "reload";
  /** Tiles, rows of the prompt, tokens, or bytes of the weights. */
  readonly done: number;
  readonly total: number;
}

/** A complete answer, its finish reason, usage and timings. */
export interface AnswerResult {
  /** Without the stop sequence. */
  readonly text: string;
  /** Token ids of the answer, without the EOS token. */
  readonly tokens: readonly number[];
  /** Token ids of the prompt, with a placeholder for every visual token. */
  readonly promptTokens: readonly number[];
  /** "stop" at an EOS token or a stop sequence, "length" at `maxNewTokens`, "stopped" by `answer.stop()`. */
  readonly finishReason: "stop" | "length" | "stopped";
  /** The stop sequence that ended the answer. */
  readonly stopString?: string;
  /** The random seed, given or generated; absent with greedy decoding. */
  readonly seed?: number;
  /** One per token, with `logprobs: true`. */
  readonly logprobs?: readonly TokenLogprob[];
  readonly usage: AnswerUsage;
  readonly timings: AnswerTimings;
}

/** The producer's side of an answer. */
export interface AnswerWriter {
  emit(piece: AnswerPiece): void;
  /** Fires when the consumer stops the answer. */
  readonly enough: AbortSignal;
}

/**
 * An answer that is being generated: iterate it to stream the text, await `result` for the complete answer. Leaving the iteration
 * early stops generation.
 * @example
 * ```ts
 * const answer = session.generate("Tell me a story.", { maxNewTokens: 200 });
 * for await (const { text } of answer) console.log(text);
 * const { finishReason, usage } = await answer.result;
 * console.log(finishReason, usage.completionTokens);
 * ```
 */
export class Answer implements AsyncIterable<AnswerPiece> {
  readonly result: Promise<AnswerResult>;
  readonly #pieces: AnswerPiece[] = [];
  /** Iterators that wait for the next piece. */
  #waiting: (() => void)[] = [];
  #ended = false;
  readonly #enough = new AbortController();

  /**
   * Starts an answer; `ended` is called when it is complete or has failed.
   * @internal
   */
  static start(run: (writer: AnswerWriter) => Promise<AnswerResult>, ended: () => void): Answer {
    return new Answer(run, ended);
  }

  protected constructor(run: (writer: AnswerWriter) => Promise<AnswerResult>, ended: () => void) {
    const writer: AnswerWriter = {
      emit: (piece) => {
        this.#pieces.push(piece);
        this.#wake();
      },
      enough: this.#enough.signal,
    };
    this.result = run(writer).finally(() => {
      this.#ended = true;
      ended();
      this.#wake();
    });
    // Callers that only iterate get the error there; without this, Node would end the process with an unhandled rejection.
    this.result.catch(() => {});
  }

  /** Stops generation: `result` resolves with the text so far, and the session continues from there. */
  stop(): void {
    this.#enough.abort();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<AnswerPiece> {
    let whole = false;
    try {
      for (let next = 0; ; ) {
        while (next < this.#pieces.length) yield this.#pieces[next++]!;
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#waiting.push(resolve);
        });
      }
      whole = true;
    } finally {
      if (!whole) {
        this.stop();
        // After the loop the session is ready for the next question.
        await this.result.catch(() => {});
      }
    }
    await this.result;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Fields of the result, which the answer itself does not have: without these, `(await session.generate(…)).text` is undefined. */
const OF_RESULT: readonly (keyof AnswerResult)[] = [
  "text",
  "tokens",
  "promptTokens",
  "finishReason",
  "stopString",
  "seed",
  "logprobs",
  "usage",
  "timings",
];
for (const name of OF_RESULT) {
  Object.defineProperty(Answer.prototype, name, {
    get() {
      throw new OptionError({
        where: `${name} of an answer`,
        expected: "a complete answer",
        got: "one that is being generated",
        remedy: `write (await session.generate(…).result).${name}`,
      });
    },
  });
}
