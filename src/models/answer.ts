/** A piece of a streaming answer; `text` may be empty while a character is not complete. */
export interface AnswerPiece {
  readonly text: string;
  readonly token?: number;
}

/** Seconds. `prefill` ends with the first token. */
export interface AnswerTimings {
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
  readonly total: number;
}

export interface AnswerUsage {
  readonly promptTokens: number;
  /** Those of the prompt whose keys and values were in the cache already. */
  readonly reusedTokens: number;
  /** Those of the prompt that pictures and clips take. */
  readonly visualTokens: number;
  /** Passes of the vision tower. */
  readonly tiles: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
}

export interface AnswerResult {
  readonly text: string;
  /** Ids of the answer, without the end token. */
  readonly tokens: readonly number[];
  /** Ids of the prompt, a placeholder for every visual token. */
  readonly promptTokens: readonly number[];
  /** "stop" at an end token, "length" at `maxNewTokens`. */
  readonly finishReason: "stop" | "length";
  readonly usage: AnswerUsage;
  readonly timings: AnswerTimings;
}

/** An answer that is being generated: iterate it for the text as it comes, await `result` for the whole. */
export class Answer implements AsyncIterable<AnswerPiece> {
  readonly result: Promise<AnswerResult>;
  readonly #pieces: AnswerPiece[] = [];
  /** Readers that wait for the next piece. */
  #waiting: (() => void)[] = [];
  #ended = false;

  constructor(run: (emit: (piece: AnswerPiece) => void) => Promise<AnswerResult>, ended: () => void) {
    this.result = run((piece) => {
      this.#pieces.push(piece);
      this.#wake();
    }).finally(() => {
      this.#ended = true;
      ended();
      this.#wake();
    });
    // A caller who only iterates gets the error there; without this Node would end the process first.
    this.result.catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncIterator<AnswerPiece> {
    for (let next = 0; ; ) {
      while (next < this.#pieces.length) yield this.#pieces[next++]!;
      if (this.#ended) break;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    await this.result;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
