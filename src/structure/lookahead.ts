import { type Anchored, alternatives } from "./anchors.js";
import { complement, concatenation, union } from "./automata.js";
import { type Automaton, automatonOf, intersection } from "./automaton.js";
import { ANY } from "./code-points.js";
import { PatternFault } from "./fault.js";
import { chars, NEVER, type Pattern, repeat, sequence } from "./pattern.js";

/** `(?=…)` and `(?!…)` during parsing. */
export class Lookahead {
  readonly kind = "choice";
  readonly options = [NEVER];

  constructor(
    readonly body: Pattern,
    readonly negative: boolean,
  ) {}
}

export function hasLookahead(pattern: Pattern): boolean {
  if (pattern instanceof Lookahead) return true;
  if (pattern.kind === "sequence") return pattern.parts.some(hasLookahead);
  if (pattern.kind === "choice") return pattern.options.some(hasLookahead);
  return pattern.kind === "repeat" && hasLookahead(pattern.part);
}

const ANYTHING = repeat(chars(ANY), 0, Number.POSITIVE_INFINITY);
/** Maximum alternatives: each choice that contains a lookahead doubles them. */
const MOST_WAYS = 500;

/** Automaton of the texts that an expression with lookaheads matches. Throws PatternFault if unsupported or too large. */
export function automatonWithLookaheads(ways: readonly Anchored[]): Automaton {
  const builder = new Builder();
  return union(
    ways.map(({ start, end, body }) =>
      builder.build([...(start ? [] : [ANYTHING]), body, ...(end ? [] : [ANYTHING])], true),
    ),
  );
}

class Builder {
  #ways = 0;

  /** Concatenation of parts; `atStart`: at the start of the text. */
  build(parts: readonly Pattern[], atStart: boolean): Automaton {
    if (++this.#ways > MOST_WAYS) throw new PatternFault("too many choices with lookaheads in them");
    const at = parts.findIndex(hasLookahead);
    if (at < 0) return automatonOf(sequence(...parts));
    const rest = this.#open(parts[at]!, parts.slice(at + 1), atStart && at === 0);
    return at === 0 ? rest : concatenation(automatonOf(sequence(...parts.slice(0, at))), rest);
  }

  /** A part that contains a lookahead, and its continuation. */
  #open(part: Pattern, after: readonly Pattern[], atStart: boolean): Automaton {
    if (part instanceof Lookahead) return intersection(this.build(after, atStart), this.#seen(part, atStart));
    if (part.kind === "sequence") return this.build([...part.parts, ...after], atStart);
    if (part.kind === "choice") {
      return union(part.options.map((option) => this.build([option, ...after], atStart)));
    }
    if (part.kind === "repeat" && part.least === 0 && part.most === 1) {
      return union([this.build(after, atStart), this.build([part.part, ...after], atStart)]);
    }
    throw new PatternFault("a lookahead in a part that repeats");
  }

  /** The condition that a lookahead imposes on its continuation. */
  #seen({ body, negative }: Lookahead, atStart: boolean): Automaton {
    const ways = alternatives(body);
    if (!ways) throw new PatternFault("^ or $ in the middle of a lookahead");
    // A lookahead is anchored at its position.
    const found = union(
      ways.map(({ start, end, body: inner }) =>
        start && !atStart ? automatonOf(NEVER) : this.build([inner, ...(end ? [] : [ANYTHING])], atStart),
      ),
    );
    return negative ? complement(found) : found;
  }
}
