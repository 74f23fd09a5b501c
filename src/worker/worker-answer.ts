import { Answer, type AnswerResult, type AnswerWriter } from "../models/chat/answer.js";

/** An answer that a worker generates. Pieces are buffered on the page, so a slow consumer does not block generation. */
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
