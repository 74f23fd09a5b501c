/** Operations on automata for lookaheads, and matching a text. */
import { type Automaton, type Edge, MOST_EDGES } from "./automaton.js";
import { ANY, type CodePoints, codePoints, common, type Range } from "./code-points.js";
import { STORED, spend } from "./compile-budget.js";
import { PatternFault } from "./fault.js";

function moved(edges: readonly Edge[], by: number): Edge[] {
  spend(edges.length * STORED);
  return edges.map(({ points, to }) => ({ points, to: to + by }));
}

/** Concatenation of `a` and `b`. Requires that no edge leads to the first state, as in Glushkov automata. */
export function concatenation(a: Automaton, b: Automaton): Automaton {
  const by = a.edges.length;
  const start = moved(b.edges[0]!, by);
  return {
    edges: [
      ...a.edges.map((edges, state) => (a.final[state] ? [...edges, ...start] : edges)),
      ...b.edges.map((edges) => moved(edges, by)),
    ],
    final: [...a.final.map((final) => final && b.final[0]!), ...b.final],
  };
}

/** Union of automata. */
export function union(automata: readonly Automaton[]): Automaton {
  const edges: Edge[][] = [[]];
  const final = [automata.some((one) => one.final[0])];
  for (const one of automata) {
    const by = edges.length;
    edges[0]!.push(...moved(one.edges[0]!, by));
    edges.push(...one.edges.map((some) => moved(some, by)));
    final.push(...one.final);
  }
  return { edges, final };
}

/** Complement of an automaton. Throws PatternFault if it would be too large. */
export function complement({ edges, final }: Automaton): Automaton {
  const numbers = new Map<string, number>();
  const sets: (readonly number[])[] = [];
  const numberOf = (states: Iterable<number>): number => {
    const sorted = [...new Set(states)].sort((a, b) => a - b);
    const key = sorted.join();
    const known = numbers.get(key) ?? sets.push(sorted) - 1;
    numbers.set(key, known);
    return known;
  };
  numberOf([0]);
  const found: Edge[][] = [];
  let work = 0;
  for (const states of sets) {
    const all = states.flatMap((state) => edges[state]!);
    const parts = partition(all.map(({ points }) => points));
    work += parts.length * (1 + all.length);
    spend(parts.length * (1 + all.length) + all.reduce((sum, { points }) => sum + points.length, states.length));
    if (work > MOST_EDGES) throw new PatternFault("a negative lookahead that is too large");
    const targets = new Map<number, Range[]>();
    for (const [first, last] of parts) {
      const to = numberOf(all.filter(({ points }) => has(points, first)).map((edge) => edge.to));
      const ranges = targets.get(to) ?? [];
      targets.set(to, ranges);
      ranges.push([first, last]);
    }
    found.push(Array.from(targets, ([to, ranges]) => ({ points: codePoints(ranges), to })));
  }
  return { edges: found, final: sets.map((states) => !states.some((state) => final[state])) };
}

/** Partitions all characters into ranges that each set contains entirely or not at all. */
function partition(sets: readonly CodePoints[]): Range[] {
  const starts = new Set<number>();
  for (const points of [...sets, ANY]) {
    for (const [first, last] of points) starts.add(first).add(last + 1);
  }
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.flatMap((first, i) => [...common([[first, (sorted[i + 1] ?? first + 1) - 1]], ANY)]);
}

function has(points: CodePoints, point: number): boolean {
  let [low, high] = [0, points.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [first, last] = points[middle]!;
    if (point < first) high = middle - 1;
    else if (point > last) low = middle + 1;
    else return true;
  }
  return false;
}

/** Whether the automaton accepts the text, in time proportional to both; RegExp may backtrack exponentially. */
export function accepts({ edges, final }: Automaton, text: string): boolean {
  let states = new Set([0]);
  for (const char of text) {
    const point = char.codePointAt(0)!;
    const next = new Set<number>();
    for (const state of states) {
      spend(1 + edges[state]!.length);
      for (const { points, to } of edges[state]!) if (!next.has(to) && has(points, point)) next.add(to);
    }
    states = next;
    if (states.size === 0) return false;
  }
  return [...states].some((state) => final[state]);
}

/** Length of the longest accepted text; Infinity if unbounded, -Infinity if there is none. */
export function longest({ edges, final }: Automaton): number {
  const useful = leadingTo(edges, final);
  const most = new Map<number, number>();
  const open = new Set<number>();
  const stack = [0];
  for (let state = stack.at(-1); state !== undefined; state = stack.at(-1)) {
    const after = edges[state]!.map(({ to }) => to).filter((to) => useful[to]);
    if (most.has(state) || !open.has(state)) {
      if (most.has(state)) {
        stack.pop();
        continue;
      }
      open.add(state);
      if (after.some((to) => open.has(to) && !most.has(to))) return Number.POSITIVE_INFINITY;
      stack.push(...after.filter((to) => !most.has(to)));
      continue;
    }
    const own = final[state] ? 0 : Number.NEGATIVE_INFINITY;
    most.set(
      state,
      after.reduce((length, to) => Math.max(length, 1 + most.get(to)!), own),
    );
    stack.pop();
  }
  return most.get(0)!;
}

/** For each state, whether an accepting state is reachable. */
function leadingTo(edges: Automaton["edges"], final: readonly boolean[]): boolean[] {
  const before: number[][] = edges.map(() => []);
  for (const [state, some] of edges.entries()) for (const { to } of some) before[to]!.push(state);
  const useful = [...final];
  const open = useful.flatMap((is, state) => (is ? [state] : []));
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    for (const from of before[state]!) {
      if (useful[from]) continue;
      useful[from] = true;
      open.push(from);
    }
  }
  return useful;
}
