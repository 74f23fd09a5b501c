import type { BatchResult } from "../server/batch-lines.js";
import { note } from "./note.js";
import type { ProgressLine } from "./progress-line.js";

/** Counts the lines of a batch, and shows how far it is. */
export class BatchCounts {
  #answered = 0;
  #failed = 0;
  #skipped = 0;

  /** `total` is undefined for a pipe, whose number of lines is unknown. */
  constructor(
    private readonly line: ProgressLine,
    private readonly total: number | undefined,
  ) {}

  /** Whether a request failed. */
  get hasFailed(): boolean {
    return this.#failed > 0;
  }

  /** A result was written. */
  written(result: BatchResult): void {
    if (result.response?.status_code === 200) this.#answered++;
    else this.#failed++;
    if (result.error?.code === "duplicate_custom_id") note(result.error.message);
    this.show();
  }

  /** A line had its result in the output. */
  skipped(): void {
    this.#skipped++;
  }

  /** Shows the progress. */
  show(): void {
    const done = this.#answered + this.#failed;
    if (this.total === undefined) this.line.text(`${done + this.#skipped} done`);
    else this.line.items("answered", done, this.total - this.#skipped);
  }

  /** `3 answered, 0 failed, 2 done before, 1 left: run it again to resume` */
  summary(isAborted: boolean): string {
    const done = this.#answered + this.#failed + this.#skipped;
    const left = this.total === undefined ? Number(isAborted) : this.total - done;
    const rest = left > 0 ? `, ${this.total === undefined ? "more" : left} left: run it again to resume` : "";
    return `${this.#answered} answered, ${this.#failed} failed, ${this.#skipped} done before${rest}\n`;
  }
}
