/** Finds the first stop sequence in streamed text; holds back text that may be the beginning of one. */
export class StopSequences {
  readonly #stops: readonly string[];
  #held = "";
  /** The stop sequence that was found. */
  found: string | undefined;

  constructor(stops: string | readonly string[] = []) {
    this.#stops = typeof stops === "string" ? [stops] : stops;
  }

  /** Adds a piece; returns the text that can be emitted, which ends before the stop sequence once one is found. */
  push(piece: string): string {
    if (this.found !== undefined) return "";
    const text = this.#held + piece;
    let end = -1;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      // Of those that begin at the same position the longest one.
      if (at < 0 || (end >= 0 && (at > end || (at === end && stop.length <= this.found!.length)))) continue;
      end = at;
      this.found = stop;
    }
    const certain = end >= 0 ? end : text.length - this.#begun(text);
    this.#held = end >= 0 ? "" : text.slice(certain);
    return text.slice(0, certain);
  }

  /** Returns the text held back, at the end of the stream. */
  finish(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Length of the longest suffix of the text that is a prefix of a stop sequence. */
  #begun(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
