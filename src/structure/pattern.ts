import type { CodePoints } from "./code-points.js";
import type { LengthCosts } from "./counted.js";

/** A set of texts: the common representation of schemas, regular expressions and grammars. */
export type Pattern =
  /** One character of a set. */
  | { readonly kind: "chars"; readonly points: CodePoints }
  /** Concatenation. */
  | { readonly kind: "sequence"; readonly parts: readonly Pattern[] }
  /** Alternation. */
  | { readonly kind: "choice"; readonly options: readonly Pattern[] }
  /** Repetition, `least` to `most` times; `most` may be Infinity. */
  | { readonly kind: "repeat"; readonly part: Pattern; readonly least: number; readonly most: number }
  | Counted
  | Rule;

/** Texts of an automaton with a bounded number of characters; each edge's characters are a pattern. */
export interface Counted {
  readonly kind: "counted";
  readonly costs: LengthCosts;
  readonly characters: readonly (readonly Pattern[])[];
}

/** A named, possibly recursive pattern. Its body is set after construction. */
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

/** A literal text. */
export function text(content: string): Pattern {
  return { kind: "sequence", parts: Array.from(content, (char) => chars(character(char.codePointAt(0)!))) };
}

/** Lone surrogates are not characters. */
function character(point: number): CodePoints {
  return point >= 0xd800 && point <= 0xdfff ? [] : [[point, point]];
}

/** The empty set. */
export const NEVER: Pattern = { kind: "choice", options: [] };
/** The empty text. */
export const EMPTY: Pattern = { kind: "sequence", parts: [] };

/** Minimum bytes of a text of a pattern without rules; Infinity if there is none. */
export function fewestBytes(pattern: Pattern): number {
  switch (pattern.kind) {
    case "chars": {
      const point = pattern.points[0]?.[0] ?? Number.POSITIVE_INFINITY;
      if (point === Number.POSITIVE_INFINITY) return point;
      return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    }
    case "sequence":
      return pattern.parts.reduce((sum, part) => sum + fewestBytes(part), 0);
    case "choice":
      return Math.min(...pattern.options.map(fewestBytes));
    case "repeat":
      return pattern.least === 0 ? 0 : pattern.least * fewestBytes(pattern.part);
    case "counted":
    case "rule":
      throw new Error(`a ${pattern.kind} within a character`);
  }
}
