import type { AnswerProgress } from "../models/chat/answer.js";
import type { LoadOptions } from "../models/llava-onevision.js";

/** Time in milliseconds, and number of things, after which a rate means something. */
const MEASURED_MS = 1000;
const MEASURED_ITEMS = 3;
/** Minimum interval between two states. */
const INTERVAL_MS = 100;

/** A progress line that overwrites itself; silent if the stream is not a terminal, or one that can't overwrite (TERM=dumb). */
export class ProgressLine {
  #shown = false;
  #last = 0;
  /** The work in progress, since its first report. */
  #work: { readonly what: string; readonly begun: number; readonly startedMs: number } | undefined;

  constructor(
    readonly stream: NodeJS.WriteStream,
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * Shows bytes. `rate` is in bytes per second; if not given, the mean since `what` began. Rate and remaining time are left out in the
   * first second, in which they would be guesses.
   */
  bytes(what: string, done: number, total: number, rate?: number): void {
    const mean = this.#mean(what, done);
    const speed = mean && (rate ?? mean);
    const pace = !speed ? "" : `, ${megabytes(speed)} MB/s, ${duration((total - done) / speed)} left`;
    this.#show(`${what} ${megabytes(done)} of ${megabytes(total)} MB${pace}`, done === total);
  }

  /** Shows a number of things that take long each. */
  items(what: string, done: number, total: number): void {
    const mean = this.#mean(what, done, MEASURED_ITEMS);
    this.#show(
      `${what} ${done} of ${total}${mean === undefined ? "" : `, ${duration((total - done) / mean)} left`}`,
      true,
    );
  }

  /** Callbacks that show the progress of loading a model, and of its download. */
  get loading(): Required<Pick<LoadOptions, "onDownload" | "onProgress">> {
    return {
      onDownload: (p) => this.bytes(`downloading ${p.file}:`, p.allLoadedBytes, p.allTotalBytes, p.bytesPerSecond),
      onProgress: (p) => this.bytes("loading", p.loadedBytes, p.totalBytes),
    };
  }

  /** Shows the progress of an answer until its first token. */
  answer({ stage, done, total }: AnswerProgress): void {
    if (stage === "decode") this.clear();
    else if (stage === "reload") this.bytes("the GPU was reset; loading again:", done, total);
    else this.count(stage, done, total);
  }

  count(what: string, done: number, total: number): void {
    this.#show(`${what} ${done} of ${total}`, done === total);
  }

  text(what: string): void {
    this.#show(what, true);
  }

  clear(): void {
    if (!this.#shown) return;
    this.stream.write("\r\x1b[2K");
    this.#shown = false;
  }

  /** Mean rate per second since the first report of `what`, whatever was waited for before; undefined until there is one. */
  #mean(what: string, done: number, least = 1): number | undefined {
    const now = this.now();
    if (this.#work?.what !== what) this.#work = { what, begun: done, startedMs: now };
    const { begun, startedMs } = this.#work;
    if (now - startedMs < MEASURED_MS || done - begun < least) return undefined;
    return (1000 * (done - begun)) / (now - startedMs);
  }

  #show(text: string, last: boolean): void {
    const now = this.now();
    if (!this.stream.isTTY || process.env.TERM === "dumb" || (!last && now - this.#last < INTERVAL_MS)) return;
    this.#last = now;
    this.#shown = true;
    this.stream.write(`\r\x1b[2K${text}`);
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** `40 s`, `12 min`, `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
