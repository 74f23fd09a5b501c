import type { Automaton } from "./automaton.js";
import { spend } from "./compile-budget.js";
import { PatternFault } from "./fault.js";
import type { Node } from "./pattern-graph.js";

/** A transition of a counted part: the rule at `entry`, then the part `to` at `count`. */
export interface Way {
  readonly entry: Node;
  readonly to: Counted;
  readonly count: number;
}

/**
 * A part of a pattern with a counter. Its positions carry a count, so that large limits need no more nodes than small ones.
 */
export interface Counted {
  /** The node after the part. */
  readonly after: Node;
  readonly id: number;
  /** Whether the part may end here. */
  ends(count: number): boolean;
  /** Minimum bytes to the end of the part; Infinity if unreachable. */
  cost(count: number): number;
  ways(count: number): readonly Way[];
}

/** A rule repeated `least` to `most` times. */
export class Repetition implements Counted {
  constructor(
    readonly id: number,
    readonly entry: Node,
    readonly least: number,
    readonly most: number,
    readonly after: Node,
  ) {}

  /** Whether the rule matches the empty text: then a lower count subsumes a higher one. */
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
    // Without an upper limit, counts above the minimum are equivalent.
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

/** Maximum size of the cost table by state and count; larger ones would take tens of megabytes. */
const MOST_COSTS = 1_000_000;
/** Maximum edges followed to compute it; more would take over a tenth of a second. */
const MOST_FOLLOWED = 5_000_000;

/**
 * Minimum bytes from a state of an automaton to its end after `count` of `least` to `most` characters. Computed backwards from the last
 * count; once the costs are stable, they apply to all earlier counts.
 */
export class LengthCosts {
  /** For the counts below `least`, in order. */
  readonly #before: Float64Array[];
  /** From the last count on backwards, down to `least` or to where nothing changes. */
  readonly #from: Float64Array[] = [];

  /** `bytes` is the minimum bytes of each edge's characters. Throws PatternFault if the table would be too large. */
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
      spend((count + edges.length) / 2);
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
    // Terminates without an upper limit as well: costs are non-increasing.
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

  /** The count after one more character; equivalent counts are merged. */
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
