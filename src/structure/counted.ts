import type { Automaton } from "./automaton.js";
import { PatternFault } from "./fault.js";
import type { Node } from "./pattern-graph.js";

/** What comes next in a counted part: the rule at `entry`, and after it the part `to` at its `count`. */
export interface Way {
  readonly entry: Node;
  readonly to: Counted;
  readonly count: number;
}

/**
 * A part of a pattern in which something is counted. Places in it have a count, so a limit in the thousands takes as many
 * nodes as one of two.
 */
export interface Counted {
  /** Where the pattern goes on when the part has ended. */
  readonly after: Node;
  readonly id: number;
  /** Whether the part may end here. */
  ends(count: number): boolean;
  /** Fewest bytes to the end of the part; Infinity where there is no way. */
  cost(count: number): number;
  ways(count: number): readonly Way[];
}

/** A rule that comes `least` to `most` times. */
export class Repetition implements Counted {
  constructor(
    readonly id: number,
    readonly entry: Node,
    readonly least: number,
    readonly most: number,
    readonly after: Node,
  ) {}

  /** Whether once may be no text at all: then a lower count can do whatever a higher one can. */
  get mayBeEmpty(): boolean {
    return this.entry.cost === 0;
  }

  ends(count: number): boolean {
    return count >= this.least || this.mayBeEmpty;
  }

  cost(count: number): number {
    return count >= this.least ? 0 : (this.least - count) * this.entry.cost;
  }

  ways(count: number): readonly Way[] {
    if (count >= this.most || this.entry.cost === Number.POSITIVE_INFINITY) return [];
    // Without a limit counts above the least are the same.
    const next = this.most === Number.POSITIVE_INFINITY ? Math.min(count + 1, this.least) : count + 1;
    return [{ entry: this.entry, to: this, count: next }];
  }
}

/** States of an automaton whose texts have `least` to `most` characters. */
export class CountedState implements Counted {
  readonly edges: { readonly entry: Node; readonly to: CountedState }[] = [];

  constructor(
    readonly id: number,
    readonly state: number,
    readonly costs: LengthCosts,
    readonly after: Node,
  ) {}

  ends(count: number): boolean {
    return this.costs.ends(this.state, count);
  }

  cost(count: number): number {
    return this.costs.of(this.state, count);
  }

  ways(count: number): readonly Way[] {
    const next = this.costs.next(count);
    return this.edges
      .filter(({ to }) => to.cost(next) < Number.POSITIVE_INFINITY)
      .map(({ entry, to }) => ({ entry, to, count: next }));
  }
}

/** Fewest bytes by state and count: more of them than this would take tens of megabytes. */
const MOST_COSTS = 1_000_000;
/** Edges that are followed to find them: more would take longer than a tenth of a second. */
const MOST_FOLLOWED = 5_000_000;

/**
 * Fewest bytes from a state of an automaton to its end, if `count` characters have come and there must be `least` to `most`.
 * Found count by count from the last on; where nothing changes any more, what is known serves all counts before.
 */
export class LengthCosts {
  /** For the counts below `least`, in order. */
  readonly #before: Float64Array[];
  /** From the last count on backwards, down to `least` or to where nothing changes. */
  readonly #from: Float64Array[] = [];

  /** `bytes` has the fewest bytes of each edge's characters. Throws PatternFault for what would be too large. */
  constructor(
    readonly automaton: Automaton,
    bytes: readonly (readonly number[])[],
    readonly least: number,
    readonly most: number,
  ) {
    const { edges, final } = automaton;
    this.#before = [];
    const count = edges.reduce((sum, some) => sum + some.length, 0);
    let [stored, followed] = [0, 0];
    const check = (): void => {
      stored += edges.length;
      followed += count + edges.length;
      if (stored > MOST_COSTS || followed > MOST_FOLLOWED)
        throw new PatternFault("a text that is too long beside another condition");
    };
    /** From those after one more character; `mayEnd` says that there are enough. */
    const layer = (next: Float64Array | undefined, mayEnd: boolean): Float64Array => {
      check();
      return Float64Array.from(edges, (some, state) => {
        let cost = mayEnd && final[state] ? 0 : Number.POSITIVE_INFINITY;
        if (next) for (let i = 0; i < some.length; i++) cost = Math.min(cost, bytes[state]![i]! + next[some[i]!.to]!);
        return cost;
      });
    };
    // Without a limit this ends as well: costs only fall.
    for (let at = most; at >= least; at--) {
      const before = this.#from.at(-1);
      const found = layer(before, true);
      if (before?.every((cost, state) => cost === found[state])) break;
      this.#from.push(found);
    }
    let next = this.#from.at(-1);
    for (let at = least - 1; at >= 0; at--) {
      next = layer(next, false);
      this.#before.push(next);
    }
    this.#before.reverse();
  }

  ends(state: number, count: number): boolean {
    return count >= this.least && count <= this.most && this.automaton.final[state]!;
  }

  /** The count after one more character; counts that make no difference are one. */
  next(count: number): number {
    return this.most === Number.POSITIVE_INFINITY ? Math.min(count + 1, this.least) : count + 1;
  }

  of(state: number, count: number): number {
    if (count > this.most) return Number.POSITIVE_INFINITY;
    if (count < this.least) return this.#before[count]![state]!;
    const left = Math.min(this.most - count, this.#from.length - 1);
    return this.#from[left]![state]!;
  }
}
