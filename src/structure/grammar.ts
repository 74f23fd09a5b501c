import { OptionError } from "../base/errors.js";
import { nearest } from "../base/options.js";
import { ANY, type CodePoints, codePoints, except, type Range } from "./code-points.js";
import { chars, choice, type Pattern, Rule, repeat, sequence, text } from "./pattern.js";

/**
 * Parses a grammar in EBNF: rules `name ::= …` of "literals", [classes], rule names, (groups), `|`, and the counts * + ? {m} {m,} {m,n};
 * comments begin with #. The pattern is that of the rule `root`. Throws OptionError with line and column.
 */
export function parseGrammar(source: string): Pattern {
  return new Parser(source).run();
}

const ESCAPES: Record<string, number> = { n: 10, r: 13, t: 9 };
const DIGITS: Record<string, number> = { x: 2, u: 4, U: 8 };
const NAME = /[A-Za-z_][\w-]*/y;

class Parser {
  #at = 0;
  readonly #rules = new Map<string, Rule>();
  /** Positions of the first uses of undefined rules. */
  readonly #undefined = new Map<string, number>();

  constructor(readonly source: string) {}

  run(): Pattern {
    this.#space();
    while (this.#at < this.source.length) this.#rule();
    for (const [name, at] of this.#undefined) {
      const near = nearest(
        name,
        [...this.#rules.keys()].filter((known) => !this.#undefined.has(known)),
      );
      throw this.#fault(
        "a rule that is defined",
        `\`${name}\``,
        near ? `did you mean \`${near}\`?` : `add ${name} ::= …`,
        at,
      );
    }
    const root = this.#rules.get("root");
    if (!root) throw this.#fault("a rule `root`, the whole answer", "none", "add root ::= …");
    return root;
  }

  #rule(): void {
    const at = this.#at;
    const name = this.#match(NAME);
    this.#space();
    if (name === undefined || this.#match(/::=/y) === undefined) {
      throw this.#fault(
        "a rule, name ::= …",
        this.#here(at),
        "write rules as name ::= parts; two parts may follow each other, rules must not be cut",
        at,
      );
    }
    this.#space();
    const rule = this.#named(name, at);
    if (!this.#undefined.delete(name)) {
      throw this.#fault("one rule of each name", `a second \`${name}\``, "join them with |", at);
    }
    rule.body = this.#choice();
  }

  #named(name: string, at: number): Rule {
    let rule = this.#rules.get(name);
    if (!rule) {
      rule = new Rule(name);
      this.#rules.set(name, rule);
      this.#undefined.set(name, at);
    }
    return rule;
  }

  #choice(): Pattern {
    const options = [this.#sequence()];
    while (this.#match(/\|/y)) {
      this.#space();
      options.push(this.#sequence());
    }
    return options.length === 1 ? options[0]! : choice(...options);
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    for (let part = this.#part(); part; part = this.#part()) {
      parts.push(this.#counted(part));
      this.#space();
    }
    if (parts.length === 0) throw this.#fault("a part", this.#here(), 'write "" for the empty text');
    return sequence(...parts);
  }

  #part(): Pattern | undefined {
    const at = this.#at;
    const quote = this.#match(/["']/y);
    if (quote) return this.#literal(quote);
    if (this.#match(/\[/y)) return chars(this.#set());
    if (this.#match(/\./y)) return chars(ANY);
    if (this.#match(/\(/y)) {
      this.#space();
      const inner = this.#choice();
      if (!this.#match(/\)/y)) throw this.#fault("`)`", this.#here(), "close the group", this.#at);
      return inner;
    }
    // A name before ::= starts the next rule.
    const name = this.#match(/[A-Za-z_][\w-]*(?!(?:[\w-]|(?:\s|#[^\n]*)*::=))/y);
    return name === undefined ? undefined : this.#named(name, at);
  }

  #counted(part: Pattern): Pattern {
    const sign = this.#match(/[*+?]/y);
    if (sign) return repeat(part, sign === "+" ? 1 : 0, sign === "?" ? 1 : Number.POSITIVE_INFINITY);
    const at = this.#at;
    const braces = this.#match(/\{[^}]*\}?/y);
    if (!braces) return part;
    const count = /^\{\s*(\d+)\s*(,?)\s*(\d*)\s*\}$/.exec(braces);
    const [least, most] = [Number(count?.[1]), count?.[3] ? Number(count[3]) : undefined];
    if (!count || (most !== undefined && (!count[2] || most < least))) {
      throw this.#fault("{m}, {m,} or {m,n}", braces, "write the counts, minimum first", at);
    }
    return repeat(part, least, most ?? (count[2] ? Number.POSITIVE_INFINITY : least));
  }

  #literal(quote: string): Pattern {
    const start = this.#at - 1;
    let content = "";
    while (!this.source.startsWith(quote, this.#at)) content += String.fromCodePoint(this.#char(start, quote));
    this.#at++;
    return text(content);
  }

  /** Parses a character class after its bracket. */
  #set(): CodePoints {
    const start = this.#at - 1;
    const negated = this.#match(/\^/y) !== undefined;
    const ranges: Range[] = [];
    while (!this.source.startsWith("]", this.#at)) {
      const at = this.#at;
      const first = this.#char(start, "]");
      const last = this.#match(/-(?!\])/y) ? this.#char(start, "]") : first;
      if (last < first) throw this.#fault("a range upwards", this.source.slice(at, this.#at), "swap its ends", at);
      ranges.push([first, last]);
    }
    this.#at++;
    const points = codePoints(ranges);
    return negated ? except(ANY, points) : points;
  }

  /** Parses a character of a literal or class that began at `start`. */
  #char(start: number, close: string): number {
    const at = this.#at;
    const point = this.source.codePointAt(at);
    if (point === undefined || point === 0x0a)
      throw this.#fault(`\`${close}\` in the same line`, "its end", "close it", start);
    this.#at += point > 0xffff ? 2 : 1;
    if (point !== 0x5c) return point;
    const char = this.source.charAt(this.#at++);
    if (char in ESCAPES) return ESCAPES[char]!;
    const digits = DIGITS[char];
    const value =
      digits && new RegExp(`^[0-9A-Fa-f]{${digits}}`).exec(this.source.slice(this.#at, this.#at + digits))?.[0];
    if (digits && value && Number.parseInt(value, 16) <= 0x10ffff) {
      this.#at += digits;
      return Number.parseInt(value, 16);
    }
    if (/[A-Za-z0-9\s]|^$/.test(char)) {
      throw this.#fault(
        "an escape: \\n \\r \\t \\xHH \\uHHHH \\UHHHHHHHH, or a sign",
        `\\${char}`,
        "double the backslash for itself",
        at,
      );
    }
    return char.charCodeAt(0);
  }

  #space(): void {
    this.#match(/(?:\s|#[^\n]*)+/y);
  }

  #match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.source)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #here(at = this.#at): string {
    return at < this.source.length ? JSON.stringify(this.source.slice(at, at + 20)) : "its end";
  }

  #fault(expected: string, got: string, remedy: string, at = this.#at): OptionError {
    const lines = this.source.slice(0, at).split("\n");
    const where = `grammar, line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
    return new OptionError({ where, expected, got, remedy });
  }
}
