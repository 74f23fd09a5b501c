/** Finds the first of several texts in a text that comes in pieces; what may be the beginning of one is held back. */
export class StopSequences {
  readonly #stops: readonly string[];
  #held = "";
  /** The stop text that was found. */
  found: string | undefined;

  constructor(stops: string | readonly string[] = []) {
    this.#stops = typeof stops === "string" ? [stops] : stops;
  }

  /** The text that is now certain; after a stop text was found it ends before that, and nothing follows. */
  push(piece: string): string {
    if (this.found !== undefined) return "";
    const text = this.#held + piece;
    let end = -1;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      // Of those that begin at the same place the longest: it holds the others.
      if (at < 0 || (end >= 0 && (at > end || (at === end && stop.length <= this.found!.length)))) continue;
      end = at;
      this.found = stop;
    }
    const certain = end >= 0 ? end : text.length - this.#begun(text);
    this.#held = end >= 0 ? "" : text.slice(certain);
    return text.slice(0, certain);
  }

  /** What was held back, once no more comes. */
  finish(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Length of the longest end of the text that a stop text begins with. */
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
