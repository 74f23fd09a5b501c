import { type CodePoints, codePoints } from "./code-points.js";

/** A set of texts. Schemas, regular expressions and grammars all become one of these. */
export type Pattern =
  /** One character of a set. */
  | { readonly kind: "chars"; readonly points: CodePoints }
  /** One part after the other. */
  | { readonly kind: "sequence"; readonly parts: readonly Pattern[] }
  /** Any one of the options. */
  | { readonly kind: "choice"; readonly options: readonly Pattern[] }
  /** The part `least` to `most` times; `most` may be Infinity. */
  | { readonly kind: "repeat"; readonly part: Pattern; readonly least: number; readonly most: number }
  | Rule;

/** A pattern with a name, which may contain itself. Its body is set after it has been made. */
export class Rule {
  readonly kind = "rule";
  body: Pattern = NEVER;

  constructor(readonly name: string) {}
}

export function chars(points: CodePoints): Pattern {
  return { kind: "chars", points };
}

export function sequence(...parts: readonly Pattern[]): Pattern {
  return { kind: "sequence", parts };
}

export function choice(...options: readonly Pattern[]): Pattern {
  return { kind: "choice", options };
}

export function repeat(part: Pattern, least: number, most: number): Pattern {
  return least > most ? NEVER : { kind: "repeat", part, least, most };
}

export function optional(part: Pattern): Pattern {
  return repeat(part, 0, 1);
}

/** This text and no other. */
export function text(content: string): Pattern {
  return sequence(...Array.from(content, (char) => chars(codePoints([[char.codePointAt(0)!, char.codePointAt(0)!]]))));
}

/** No text at all, not even the empty one. */
export const NEVER: Pattern = { kind: "choice", options: [] };
/** The empty text. */
export const EMPTY: Pattern = { kind: "sequence", parts: [] };
