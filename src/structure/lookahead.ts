import { type Anchored, alternatives } from "./anchors.js";
import { complement, concatenation, union } from "./automata.js";
import { type Automaton, automatonOf, intersection } from "./automaton.js";
import { ANY } from "./code-points.js";
import { PatternFault } from "./fault.js";
import { chars, NEVER, type Pattern, repeat, sequence } from "./pattern.js";

/** `(?=…)` and `(?!…)` while an expression is read; a choice to those who don't ask. */
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
/** Ways to go on that are followed: each choice with a lookahead in it doubles them. */
const MOST_WAYS = 500;

/** The texts in which an expression with lookaheads matches. Throws PatternFault for what can't be followed. */
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

  /** Texts of the parts one after the other; `atStart` says that nothing comes before them. */
  build(parts: readonly Pattern[], atStart: boolean): Automaton {
    if (++this.#ways > MOST_WAYS) throw new PatternFault("too many choices with lookaheads in them");
    const at = parts.findIndex(hasLookahead);
    if (at < 0) return automatonOf(sequence(...parts));
    const rest = this.#open(parts[at]!, parts.slice(at + 1), atStart && at === 0);
    return at === 0 ? rest : concatenation(automatonOf(sequence(...parts.slice(0, at))), rest);
  }

  /** A part with a lookahead in it, and what follows. */
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

  /** What may follow a lookahead. */
  #seen({ body, negative }: Lookahead, atStart: boolean): Automaton {
    const ways = alternatives(body);
    if (!ways) throw new PatternFault("^ or $ in the middle of a lookahead");
    // It begins where it stands: nothing may come before it.
    const found = union(
      ways.map(({ start, end, body: inner }) =>
        start && !atStart ? automatonOf(NEVER) : this.build([inner, ...(end ? [] : [ANYTHING])], atStart),
      ),
    );
    return negative ? complement(found) : found;
  }
}
