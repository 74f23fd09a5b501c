import { byBeginning } from "./beginnings.js";
import { ANY, type CodePoints, common, except } from "./code-points.js";
import { STORED, spend } from "./compile-budget.js";
import { PatternFault } from "./fault.js";
import { chars, choice, EMPTY, type Pattern, Rule, sequence } from "./pattern.js";

/** A finite automaton over characters with start state 0; used to intersect conditions on a text. */
export interface Automaton {
  /** Edges by state. */
  readonly edges: readonly (readonly Edge[])[];
  /** Accepting states. */
  readonly final: readonly boolean[];
}

export interface Edge {
  readonly points: CodePoints;
  readonly to: number;
}

/** Maximum size of an automaton; larger ones would take a tenth of a second. */
export const MOST_EDGES = 50_000;
/** Maximum pairs of edges that an intersection compares. */
const MOST_COMPARED = 500_000;

/** First and last positions of a part of a pattern. */
interface Span {
  readonly empty: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
}

/** Glushkov automaton of a pattern without rules (Glushkov 1961): state p + 1 is position p of the pattern. */
export function automatonOf(pattern: Pattern): Automaton {
  const points: CodePoints[] = [];
  const follows: Set<number>[] = [];
  let count = 0;
  const join = (from: readonly number[], to: readonly number[]): void => {
    for (const p of from) {
      for (const q of to) follows[p]!.add(q);
      count += to.length;
      spend(to.length * STORED);
    }
    if (count > MOST_EDGES) throw new PatternFault("a part that repeats too often beside another condition");
  };
  const then = (a: Span, b: Span): Span => {
    join(a.last, b.first);
    // The copies of these lists.
    spend(a.first.length + a.last.length + b.first.length + b.last.length);
    return {
      empty: a.empty && b.empty,
      first: a.empty ? [...a.first, ...b.first] : a.first,
      last: b.empty ? [...a.last, ...b.last] : b.last,
    };
  };
  const nothing: Span = { empty: true, first: [], last: [] };
  const visit = (part: Pattern): Span => {
    switch (part.kind) {
      case "chars": {
        const place = points.push(part.points) - 1;
        follows.push(new Set());
        return { empty: false, first: [place], last: [place] };
      }
      case "sequence":
        return part.parts.map(visit).reduce(then, nothing);
      case "choice": {
        const options = byBeginning(part.options).map(visit);
        return {
          empty: options.some(({ empty }) => empty),
          first: options.flatMap(({ first }) => first),
          last: options.flatMap(({ last }) => last),
        };
      }
      case "repeat": {
        let tail = nothing;
        if (part.most === Number.POSITIVE_INFINITY) {
          tail = visit(part.part);
          join(tail.last, tail.first);
          tail = { ...tail, empty: true };
        }
        for (let i = part.least; i < part.most && part.most < Number.POSITIVE_INFINITY; i++) {
          tail = { ...then(visit(part.part), tail), empty: true };
        }
        for (let i = 0; i < part.least; i++) tail = then(visit(part.part), tail);
        return tail;
      }
      case "counted":
      case "rule":
        throw new Error(`a ${part.kind} within a regular pattern`);
    }
  };
  const whole = visit(pattern);
  const edgesTo = (places: Iterable<number>): Edge[] => Array.from(places, (p) => ({ points: points[p]!, to: p + 1 }));
  const ends = new Set(whole.last);
  return {
    edges: [edgesTo(whole.first), ...follows.map(edgesTo)],
    final: [whole.empty, ...points.map((_, place) => ends.has(place))],
  };
}

/** Intersection of two automata (product construction). Throws PatternFault if it would be too large. */
export function intersection(a: Automaton, b: Automaton): Automaton {
  const numbers = new Map<string, number>();
  const pairs: [number, number][] = [];
  const numberOf = (p: number, q: number): number => {
    const key = `${p} ${q}`;
    const known = numbers.get(key) ?? pairs.push([p, q]) - 1;
    numbers.set(key, known);
    return known;
  };
  numberOf(0, 0);
  const edges: Edge[][] = [];
  let [count, compared] = [0, 0];
  for (const [p, q] of pairs) {
    const found: Edge[] = [];
    compared += a.edges[p]!.length * b.edges[q]!.length;
    spend((a.edges[p]!.length + b.edges[q]!.length) * STORED);
    for (const left of a.edges[p]!) {
      for (const right of b.edges[q]!) {
        spend(left.points.length + right.points.length);
        const points = common(left.points, right.points);
        spend(points.length * STORED);
        if (points.length > 0) found.push({ points, to: numberOf(left.to, right.to) });
      }
    }
    count += found.length;
    if (count > MOST_EDGES || compared > MOST_COMPARED)
      throw new PatternFault("conditions on one text whose combination is too large");
    edges.push(found);
  }
  return { edges, final: pairs.map(([p, q]) => a.final[p]! && b.final[q]!) };
}

/** Whether no text is accepted. Requires that every state is reachable, as in intersections. */
export function isEmpty({ final }: Automaton): boolean {
  return !final.includes(true);
}

/** All texts except these. */
export function otherThan(texts: readonly string[]): Automaton {
  const OTHER = 1;
  const children: Map<number, number>[] = [new Map(), new Map()];
  const final = [true, true];
  for (const text of texts) {
    let state = 0;
    for (const char of text) {
      const point = char.codePointAt(0)!;
      let to = children[state]!.get(point);
      if (to === undefined) {
        to = children.push(new Map()) - 1;
        spend(STORED * STORED);
        final.push(true);
        children[state]!.set(point, to);
      }
      state = to;
    }
    final[state] = false;
  }
  const edges = children.map((known) => {
    const own = [...known].map(([point, to]): Edge => ({ points: common([[point, point]], ANY), to }));
    const taken = [...known.keys()].sort((a, b) => a - b).map((point) => [point, point] as const);
    return [...own, { points: except(ANY, taken), to: OTHER }];
  });
  return { edges, final };
}

/** Converts an automaton to a pattern, each character replaced by `written`. */
export function patternOf({ edges, final }: Automaton, written: (points: CodePoints) => Pattern = chars): Pattern {
  const rules = edges.map(() => new Rule("a condition on a text"));
  for (const [state, rule] of rules.entries()) {
    spend(edges[state]!.length * STORED);
    const ways = edges[state]!.map(({ points, to }) => sequence(written(points), rules[to]!));
    rule.body = choice(...ways, ...(final[state] ? [EMPTY] : []));
  }
  return rules[0]!;
}
