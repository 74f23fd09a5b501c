/** A progress line that overwrites itself; silent if the stream is not a terminal. */
export class ProgressLine {
  #shown = false;
  #last = 0;
  #started = Date.now();

  constructor(readonly stream: NodeJS.WriteStream) {}

  /** Shows bytes. `rate` is in bytes per second; if not given, the mean since the line was created or last got a rate. */
  bytes(what: string, done: number, total: number, rate?: number): void {
    if (rate === undefined) rate = done / this.#seconds();
    else this.#started = Date.now();
    const left = rate > 0 ? Math.ceil((total - done) / rate) : done === total ? 0 : "?";
    this.#show(
      `${what} ${megabytes(done)} of ${megabytes(total)} MB, ${megabytes(rate)} MB/s, ${left} s left`,
      done === total,
    );
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

  #seconds(): number {
    return Math.max((Date.now() - this.#started) / 1000, 0.001);
  }

  #show(text: string, last: boolean): void {
    const now = Date.now();
    if (!this.stream.isTTY || (!last && now - this.#last < 100)) return;
    this.#last = now;
    this.#shown = true;
    this.stream.write(`\r\x1b[2K${text}`);
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
