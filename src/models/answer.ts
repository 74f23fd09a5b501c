/** What a token could have been, and how probable: the natural logarithm of its probability under softmax(logits). */
export interface TokenChance {
  readonly token: number;
  /** Its text; bytes that are no character alone show as U+FFFD. */
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** A token of an answer with its probability, and the most probable ones in its place, in their order. */
export interface TokenLogprob extends TokenChance {
  readonly top: readonly TokenChance[];
}

/** A piece of a streaming answer; `text` may be empty while a character or a stop text is not complete. */
export interface AnswerPiece {
  readonly text: string;
  readonly token?: number;
  /** Where `logprobs` was asked for. */
  readonly logprob?: TokenLogprob;
}

/** Seconds. `prefill` ends with the first token. */
export interface AnswerTimings {
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
  readonly total: number;
}

/** Tokens of an answer and of its prompt. */
export interface AnswerUsage {
  readonly promptTokens: number;
  /** Those of the prompt whose keys and values were in the cache already. */
  readonly reusedTokens: number;
  /** Those of the prompt that pictures and clips take. */
  readonly visualTokens: number;
  /** Tiles that went through the vision tower: none for pictures whose visual tokens were known. */
  readonly tiles: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
}

/** A whole answer, how it ended, and what it took. */
export interface AnswerResult {
  /** Without the stop text. */
  readonly text: string;
  /** Ids of the answer, without the end token. */
  readonly tokens: readonly number[];
  /** Ids of the prompt, a placeholder for every visual token. */
  readonly promptTokens: readonly number[];
  /** "stop" at an end token or a stop text, "length" at `maxNewTokens`, "stopped" by `answer.stop()`. */
  readonly finishReason: "stop" | "length" | "stopped";
  /** The stop text that ended the answer. */
  readonly stopString?: string;
  /** What draws began with, given or made up; absent where the most probable tokens were taken. */
  readonly seed?: number;
  /** One for each of `tokens`, where they were asked for. */
  readonly logprobs?: readonly TokenLogprob[];
  readonly usage: AnswerUsage;
  readonly timings: AnswerTimings;
}

/** What the one who writes an answer has of it. */
export interface AnswerWriter {
  emit(piece: AnswerPiece): void;
  /** Fires when the reader has had enough. */
  readonly enough: AbortSignal;
}

/**
 * An answer that is being generated: iterate it for the text as it comes, await `result` for the whole. Leaving the iteration early
 * stops it.
 */
export class Answer implements AsyncIterable<AnswerPiece> {
  readonly result: Promise<AnswerResult>;
  readonly #pieces: AnswerPiece[] = [];
  /** Readers that wait for the next piece. */
  #waiting: (() => void)[] = [];
  #ended = false;
  readonly #enough = new AbortController();

  constructor(run: (writer: AnswerWriter) => Promise<AnswerResult>, ended: () => void) {
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
    // A caller who only iterates gets the error there; without this Node would end the process first.
    this.result.catch(() => {});
  }

  /** Ends the answer where it is: `result` has what there is by then, and the session goes on from there. */
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
        // Who has left the loop may ask the next question.
        await this.result.catch(() => {});
      }
    }
    await this.result;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
