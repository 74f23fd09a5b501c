/** Converts JavaScript regular expressions (with the `u` flag) to patterns. */
import { causeMessage } from "../base/cause-message.js";
import { OptionError } from "../base/errors.js";
import { type Anchored, alternatives, END, START } from "./anchors.js";
import { type Automaton, automatonOf, patternOf } from "./automaton.js";
import { ANY, type CodePoints, codePoints, except, type Range } from "./code-points.js";
import { spend } from "./compile-budget.js";
import { PatternFault } from "./fault.js";
import { automatonWithLookaheads, hasLookahead, Lookahead } from "./lookahead.js";
import { chars, choice, EMPTY, type Pattern, repeat, sequence } from "./pattern.js";

/** Pattern of the texts that an expression matches entirely. Throws OptionError, which names `where`. */
export function wholeMatch(source: string, where: string): Pattern {
  const ways = parts(source, where).map(({ body }) => ({ body, start: true, end: true }));
  return ways.some(({ body }) => hasLookahead(body))
    ? patternOf(followed(source, where, () => automatonWithLookaheads(ways)))
    : choice(...ways.map(({ body }) => body));
}

/**
 * Texts that contain a match, as in a JSON schema: a pattern without rules, or an automaton if there are lookaheads. Throws OptionError,
 * which names `where`.
 */
export function someMatch(source: string, where: string): Pattern | Automaton {
  const ways = parts(source, where);
  if (ways.some(({ body }) => hasLookahead(body))) {
    return followed(source, where, () => automatonWithLookaheads(ways));
  }
  const anything = repeat(chars(ANY), 0, Number.POSITIVE_INFINITY);
  return choice(
    ...ways.map(({ start, end, body }) => sequence(start ? EMPTY : anything, body, end ? EMPTY : anything)),
  );
}

/** Automaton of `someMatch`. Throws OptionError, also if it would be too large. */
export function matchAutomaton(source: string, where: string): Automaton {
  const found = someMatch(source, where);
  return "kind" in found ? followed(source, where, () => automatonOf(found)) : found;
}

function followed<T>(source: string, where: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof PatternFault)) throw cause;
    throw fault(where, source, cause.message, WITHOUT);
  }
}

/** Maximum Unicode properties; enumerating the characters of one takes some milliseconds. */
const MOST_PROPERTIES = 6;
/** Steps of a property that is met first. */
const PROPERTY_STEPS = 200_000;
/** Maximum length; longer expressions would take over a tenth of a second. */
const MOST_CHARACTERS = 20_000;

function parts(source: string, where: string): Anchored[] {
  if (source.length > MOST_CHARACTERS) {
    throw fault(where, source, `${source.length} characters`, `write at most ${MOST_CHARACTERS}`);
  }
  try {
    new RegExp(source, "u");
  } catch (cause) {
    throw fault(where, source, causeMessage(cause));
  }
  const properties = new Set(source.match(/\\[pP]\{[^}]*\}/g));
  if (properties.size > MOST_PROPERTIES) {
    throw fault(where, source, `${properties.size} Unicode properties`, `write at most ${MOST_PROPERTIES}`);
  }
  const parser = new Parser(source, where);
  const pattern = parser.choice();
  const found = alternatives(pattern);
  if (!found) throw fault(where, source, "^ or $ in the middle", "write anchors at the ends only");
  return found;
}

function fault(
  where: string,
  source: string,
  got: string,
  remedy = "write it for JavaScript's RegExp with the u flag",
): OptionError {
  return new OptionError({
    where,
    expected: "a supported regular expression",
    got: `${got} in /${source.length > MOST_SHOWN ? `${source.slice(0, MOST_SHOWN)}…` : source}/`,
    remedy,
  });
}

/** Longer expressions are truncated in messages. */
const MOST_SHOWN = 200;
const WITHOUT = "write it without; there are literals, classes, groups, | and * + ? {m,n}";

const LINE_ENDS: CodePoints = codePoints([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
]);
const DIGITS: CodePoints = [[0x30, 0x39]];
const WORD: CodePoints = codePoints([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const SPACE: CodePoints = codePoints(
  Array.from({ length: 0x10000 }, (_, point): Range => [point, point]).filter(([point]) =>
    /\s/u.test(String.fromCharCode(point)),
  ),
);
const CLASSES: Record<string, CodePoints> = {
  d: DIGITS,
  D: except(ANY, DIGITS),
  w: WORD,
  W: except(ANY, WORD),
  s: SPACE,
  S: except(ANY, SPACE),
};
/** Escapes within classes; `\b` outside a class is handled before. */
const CONTROLS: Record<string, number> = { b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };
const COUNTS: Record<string, readonly string[]> = { "*": ["0", ""], "+": ["1", ""], "?": ["0", "1"] };

/** Parses an expression that RegExp accepts; rejects only unsupported constructs. */
class Parser {
  #at = 0;

  constructor(
    readonly source: string,
    readonly where: string,
  ) {}

  choice(): Pattern {
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    return options.length === 1 ? options[0]! : choice(...options);
  }

  #sequence(): Pattern {
    const items: Pattern[] = [];
    while (this.#at < this.source.length && !this.#isAt("|") && !this.#isAt(")"))
      items.push(this.#counted(this.#item()));
    return sequence(...items);
  }

  #item(): Pattern {
    if (this.#take("^")) return START;
    if (this.#take("$")) return END;
    if (this.#take("(")) return this.#group();
    if (this.#take("[")) return chars(this.#set());
    if (this.#take(".")) return chars(except(ANY, LINE_ENDS));
    const escaped = this.#isAt("\\");
    if (escaped && /[bBk1-9]/.test(this.source.charAt(this.#at + 1))) {
      const what = /[bB]/.test(this.source.charAt(this.#at + 1)) ? "a word boundary" : "a back reference";
      throw fault(this.where, this.source, `${what} (\\${this.source.charAt(this.#at + 1)})`, WITHOUT);
    }
    const member = this.#member();
    return chars(typeof member === "number" ? codePoints([[member, member]]) : member);
  }

  #group(): Pattern {
    const look = this.#match(/^\?[=!]/);
    if (look !== "") {
      const body = this.choice();
      this.#at++;
      return new Lookahead(body, look === "?!");
    }
    const named = this.#match(/^\?(?::|<(?![=!])[^>]*>)/) !== "";
    if (!named && this.#isAt("?")) {
      const kind = this.source.slice(this.#at - 1, this.#at + 3);
      throw fault(this.where, this.source, `a lookbehind or modifier (${kind}…)`, WITHOUT);
    }
    const inner = this.choice();
    this.#at++;
    return inner;
  }

  #counted(item: Pattern): Pattern {
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(this.source.slice(this.#at))?.[0];
    if (!quantifier) return item;
    this.#at += quantifier.length;
    // Greediness does not affect the set of matches.
    this.#take("?");
    const [least, most] = COUNTS[quantifier] ?? quantifier.slice(1, -1).split(",");
    const from = Number(least);
    return repeat(item, from, most === undefined ? from : most === "" ? Number.POSITIVE_INFINITY : Number(most));
  }

  /** A class after its bracket. */
  #set(): CodePoints {
    const negated = this.#take("^");
    const ranges: Range[] = [];
    while (!this.#take("]")) {
      const first = this.#member();
      // Before `]` a hyphen is a literal.
      const range = typeof first === "number" && this.#isAt("-") && this.source.charAt(this.#at + 1) !== "]";
      if (range) {
        this.#at++;
        ranges.push([first, this.#member() as number]);
      } else if (typeof first === "number") ranges.push([first, first]);
      else ranges.push(...first);
    }
    const points = codePoints(ranges);
    return negated ? except(ANY, points) : points;
  }

  /** Parses a character, or an escape for a set. */
  #member(): number | CodePoints {
    const escaped = this.#take("\\");
    const point = this.source.codePointAt(this.#at)!;
    const char = String.fromCodePoint(point);
    this.#at += char.length;
    if (!escaped) return point;
    if (char in CLASSES) return CLASSES[char]!;
    if (char in CONTROLS) return CONTROLS[char]!;
    if (char === "p" || char === "P") return propertyPoints(`\\${char}${this.#match(/^\{[^}]*\}/)}`);
    if (char === "c") return this.#match(/^./).charCodeAt(0) % 32;
    if (char === "x") return Number.parseInt(this.#match(/^../), 16);
    if (char !== "u") return point;
    if (this.#isAt("{")) return Number.parseInt(this.#match(/^\{[^}]*\}/).slice(1), 16);
    const unit = Number.parseInt(this.#match(/^.{4}/), 16);
    const low = /^\\u(d[c-f]..)/i.exec(this.source.slice(this.#at, this.#at + 6));
    if (unit < 0xd800 || unit > 0xdbff || !low) return unit;
    this.#at += 6;
    return String.fromCharCode(unit, Number.parseInt(low[1]!, 16)).codePointAt(0)!;
  }

  #isAt(char: string): boolean {
    return this.source.charAt(this.#at) === char;
  }

  #take(char: string): boolean {
    const seen = this.#isAt(char);
    if (seen) this.#at++;
    return seen;
  }

  #match(expression: RegExp): string {
    const found = expression.exec(this.source.slice(this.#at))?.[0] ?? "";
    this.#at += found.length;
    return found;
  }
}

const properties = new Map<string, CodePoints>();
/** All characters, in blocks. */
let everything: readonly string[] | undefined;

/** Characters that `\p{…}` matches, enumerated with the engine. */
function propertyPoints(source: string): CodePoints {
  let points = properties.get(source);
  if (!points) {
    const expression = new RegExp(`${source}+`, "gu");
    spend(PROPERTY_STEPS);
    const ranges: Range[] = [];
    everything ??= Array.from({ length: 0x110 }, (_, block) =>
      String.fromCodePoint(
        ...Array.from({ length: 0x1000 }, (_, i) => (block << 12) | i).filter(
          (point) => point < 0xd800 || point > 0xdfff,
        ),
      ),
    );
    for (const block of everything) {
      // Runs within blocks; adjacent ones are merged.
      for (const { 0: run } of block.matchAll(expression)) {
        ranges.push([run.codePointAt(0)!, [...run.slice(-2)].at(-1)!.codePointAt(0)!]);
      }
    }
    points = codePoints(ranges);
    properties.set(source, points);
  }
  return points;
}
