import { Answer, type AnswerResult, type AnswerWriter } from "../models/chat/answer.js";

/**
 * An answer that a worker generates. Pieces are buffered on the page, so a slow consumer does not block generation.
 * @example
 * ```ts
 * const answer = workerModel.createSession().generate("Hello!");
 * for await (const { text } of answer) console.log(text);
 * ```
 */
export class WorkerAnswer extends Answer {
  constructor(
    run: (writer: AnswerWriter) => Promise<AnswerResult>,
    ended: () => void,
    private readonly onStop: () => void,
  ) {
    super(run, ended);
  }

  override stop(): void {
    super.stop();
    this.onStop();
  }
}
