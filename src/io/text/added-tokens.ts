/** Splits a text at added tokens, as the reference tokenizer does before pre-tokenisation and BPE. */
import type { AddedToken } from "./tokenizer-files.js";

/** A section of a text: an added token, or the text between two of them. */
interface Section {
  readonly text: string;
  /** Text that is searched for tokens; of the same length as `text`. */
  readonly searched: string;
  readonly token?: AddedToken;
}

/** The added tokens of a tokenizer. Tokens with `normalized` are searched in normalised text, the others in the original text. */
export class AddedTokens {
  readonly #asWritten: Dictionary;
  readonly #normalised: Dictionary;

  constructor(
    tokens: readonly AddedToken[],
    private readonly normalise: (text: string) => string,
  ) {
    this.#asWritten = new Dictionary(tokens.filter((t) => !t.normalized).map((t) => [t.content, t]));
    const normalised = tokens.filter((t) => t.normalized);
    this.#normalised = new Dictionary([
      ...normalised.map((t) => [t.content, t] as const),
      ...normalised.map((t) => [normalise(t.content), t] as const),
    ]);
  }

  /**
   * Splits the text at its added tokens, stripping white space for tokens with `lstrip` or `rstrip`. Tokens are searched in `searched`,
   * a text of the same length: characters that are blanked out there are never part of a token.
   */
  split(text: string, searched: string): readonly { readonly text: string; readonly token?: AddedToken }[] {
    return this.#asWritten.split({ text, searched }).flatMap((section) => {
      if (section.token || this.#normalised.isEmpty) return [section];
      // Offsets correspond only if normalisation composes nothing.
      const whole = section.text === section.searched ? this.normalise(section.text) : undefined;
      return this.#normalised.split(whole === undefined ? section : { text: whole, searched: whole });
    });
  }
}

/** Leftmost-longest search of tokens. */
class Dictionary {
  readonly #byText: ReadonlyMap<string, AddedToken>;
  /** Lengths of the tokens that begin with a character (UTF-16 unit), longest first. */
  readonly #lengths = new Map<string, number[]>();

  constructor(entries: readonly (readonly [text: string, token: AddedToken])[]) {
    this.#byText = new Map(entries);
    for (const text of this.#byText.keys()) {
      const lengths = this.#lengths.get(text[0]!) ?? [];
      if (!lengths.includes(text.length)) lengths.push(text.length);
      this.#lengths.set(text[0]!, lengths);
    }
    for (const lengths of this.#lengths.values()) lengths.sort((a, b) => b - a);
  }

  get isEmpty(): boolean {
    return this.#byText.size === 0;
  }

  split({ text, searched }: Section): Section[] {
    const sections: Section[] = [];
    const cut = (start: number, end: number, token?: AddedToken): void => {
      if (end <= start) return;
      const places = [start, end] as const;
      sections.push({ text: text.slice(...places), searched: searched.slice(...places), ...(token && { token }) });
    };
    let start = 0;
    for (let i = 0; i < searched.length; ) {
      const token = this.#at(searched, i);
      if (!token) {
        i++;
        continue;
      }
      cut(start, i);
      start = i + token.length;
      cut(i, start, token.token);
      i = start;
    }
    cut(start, text.length);
    return sections.map((section, i) => stripped(section, sections[i - 1]?.token, sections[i + 1]?.token));
  }

  #at(text: string, i: number): { token: AddedToken; length: number } | undefined {
    for (const length of this.#lengths.get(text[i]!) ?? []) {
      const token = this.#byText.get(text.slice(i, i + length));
      if (token) return { token, length };
    }
    return undefined;
  }
}

/** Strips the white space that adjacent tokens consume. */
function stripped(section: Section, before: AddedToken | undefined, after: AddedToken | undefined): Section {
  if (section.token || !(before?.rstrip || after?.lstrip)) return section;
  const { text, searched } = section;
  const end = after?.lstrip ? text.trimEnd().length : text.length;
  const start = before?.rstrip ? Math.min(text.length - text.trimStart().length, end) : 0;
  return { text: text.slice(start, end), searched: searched.slice(start, end) };
}
