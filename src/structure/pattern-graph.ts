import { byBeginning } from "./beginnings.js";
import { type CodePoints, utf8 } from "./code-points.js";
import { spend } from "./compile-budget.js";
import { type Counted, CountedState, Repetition } from "./counted.js";
import { PatternFault } from "./fault.js";
import { type Pattern, Rule } from "./pattern.js";
import { type Costed, measure } from "./shortest.js";
import { TimeSlice } from "./time-slices.js";

/** A node of a pattern graph. */
export class Node implements Costed {
  /** Byte edges. */
  readonly edges: { readonly first: number; readonly last: number; readonly to: Node }[] = [];
  /** Epsilon edges. */
  readonly free: Node[] = [];
  /** A call of a rule; `after` is the return node. */
  call: { readonly rule: Rule; readonly entry: Node; readonly after: Node } | undefined;
  /** A counted part at its start. */
  counted: Counted | undefined;
  /** Minimum bytes from here to the end of the node's rule; Infinity if unreachable. */
  cost = Number.POSITIVE_INFINITY;

  constructor(readonly id: number) {}
}

/** Maximum number of nodes; more would take over a tenth of a second. */
const MOST_NODES = 50_000;
/** Repetitions are unrolled up to this count; larger ones use a counter. */
const COPIES = 4;

/** A pattern as a recursive transition network (Woods 1970) over bytes: nodes with byte edges, epsilon edges and rule calls. */
export class PatternGraph {
  /** The end node of every rule. */
  readonly end: Node;
  #root: Node;
  readonly #nodes: Node[] = [];
  readonly #entries = new Map<Rule, Node>();
  readonly #pending: Rule[] = [];
  /** Character sets (by their ranges) and repeated parts, shared as rules. */
  readonly #shared = new Map<string | Pattern, Rule>();
  #countedParts = 0;

  private constructor() {
    this.end = this.#node();
    this.end.cost = 0;
    this.#root = this.end;
  }

  /**
   * Builds the graph of a pattern in time slices. Throws PatternFault for a pattern that no text matches, left recursion, or one that is
   * too large.
   */
  static *of(pattern: Pattern): Generator<void, PatternGraph> {
    const graph = new PatternGraph();
    yield* graph.#build(pattern);
    return graph;
  }

  get root(): Node {
    return this.#root;
  }

  *#build(pattern: Pattern): Generator<void, void> {
    const slice = new TimeSlice();
    this.#root = this.#enter(pattern, this.end);
    for (let rule = this.#pending.pop(); rule; rule = this.#pending.pop()) {
      const { body } = rule;
      const first = body.kind === "chars" ? this.#chars(body.points, this.end) : this.#enter(body, this.end);
      this.#entry(rule).free.push(first);
      if (slice.over()) {
        yield;
        slice.begin();
      }
    }
    yield* measure(this.#nodes, this.end);
    this.#refuseLeftRecursion();
    if (this.#root.cost === Number.POSITIVE_INFINITY) throw new PatternFault("one that no text fits");
  }

  #node(): Node {
    if (this.#nodes.length >= MOST_NODES) throw new PatternFault(`it has more than ${MOST_NODES} states`);
    const node = new Node(this.#nodes.length);
    this.#nodes.push(node);
    return node;
  }

  #entry(rule: Rule): Node {
    let node = this.#entries.get(rule);
    if (!node) {
      node = this.#node();
      this.#entries.set(rule, node);
      this.#pending.push(rule);
    }
    return node;
  }

  /** Returns the start node of a pattern that leads to `after`. */
  #enter(pattern: Pattern, after: Node): Node {
    switch (pattern.kind) {
      case "chars": {
        const { points } = pattern;
        spend(points.length);
        const [only] = points;
        if (only && points.length === 1 && only[1] < 0x80) {
          const node = this.#node();
          node.edges.push({ first: only[0], last: only[1], to: after });
          return node;
        }
        if (points.every(([, last]) => last < 0x80)) return this.#chars(points, after);
        return this.#call(this.#sharing(points.join(), pattern), after);
      }
      case "sequence":
        return pattern.parts.reduceRight((to, part) => this.#enter(part, to), after);
      case "choice": {
        const node = this.#node();
        for (const option of byBeginning(pattern.options)) node.free.push(this.#enter(option, after));
        return node;
      }
      case "repeat":
        return this.#repeat(pattern.part, pattern.least, pattern.most, after);
      case "counted": {
        const { costs, characters } = pattern;
        const { edges } = costs.automaton;
        const states = edges.map((_, state) => new CountedState(this.#countedParts++, state, costs, after));
        for (const [state, some] of edges.entries()) {
          for (const [i, { points, to }] of some.entries()) {
            const entry = this.#entry(this.#sharing(`character ${points.join()}`, characters[state]![i]!));
            states[state]!.edges.push({ entry, to: states[to]! });
          }
        }
        return this.#counted(states[0]!);
      }
      case "rule":
        return this.#call(pattern, after);
    }
  }

  #repeat(part: Pattern, least: number, most: number, after: Node): Node {
    const endless = most === Number.POSITIVE_INFINITY;
    if ((endless ? least : most) > COPIES) {
      const entry = this.#entry(this.#sharing(part, part));
      return this.#counted(new Repetition(this.#countedParts++, entry, least, most, after));
    }
    let node = after;
    if (endless) {
      node = this.#node();
      node.free.push(this.#enter(part, node), after);
    }
    for (let i = least; i < most && !endless; i++) {
      const skip = this.#node();
      skip.free.push(this.#enter(part, node), after);
      node = skip;
    }
    for (let i = 0; i < least; i++) node = this.#enter(part, node);
    return node;
  }

  #counted(counted: Counted): Node {
    const node = this.#node();
    node.counted = counted;
    return node;
  }

  #call(rule: Rule, after: Node): Node {
    const node = this.#node();
    node.call = { rule, entry: this.#entry(rule), after };
    return node;
  }

  #sharing(key: string | Pattern, body: Pattern): Rule {
    let rule = this.#shared.get(key);
    if (!rule) {
      rule = new Rule("a part");
      rule.body = body;
      this.#shared.set(key, rule);
    }
    return rule;
  }

  #chars(points: CodePoints, after: Node): Node {
    // Most sequences end in arbitrary continuation bytes: share these tails.
    const tails = [after];
    const tail = (length: number): Node => {
      let node = tails[length];
      if (!node) {
        node = this.#node();
        node.edges.push({ first: 0x80, last: 0xbf, to: tail(length - 1) });
        tails[length] = node;
      }
      return node;
    };
    const start = this.#node();
    for (const ranges of utf8(points)) {
      let whole = 0;
      while (whole < ranges.length - 1 && ranges.at(-1 - whole)!.join() === "128,191") whole++;
      let to = tail(whole);
      for (let i = ranges.length - 1 - whole; i >= 0; i--) {
        const from = i === 0 ? start : this.#node();
        from.edges.push({ first: ranges[i]![0], last: ranges[i]![1], to });
        to = from;
      }
    }
    return start;
  }

  /** Left recursion would not terminate. */
  #refuseLeftRecursion(): void {
    const rules = new Map([...this.#entries].map(([rule, entry]) => [entry, rule]));
    const state = new Map<Rule, "open" | "done">();
    const visit = (rule: Rule): void => {
      if (state.get(rule) === "done") return;
      if (state.get(rule) === "open") throw new PatternFault(`${rule.name} begins with itself`);
      state.set(rule, "open");
      const reached = new Set([this.#entry(rule)]);
      for (const node of reached) {
        for (const to of node.free) reached.add(to);
        if (node.call) {
          visit(node.call.rule);
          if (node.call.entry.cost === 0) reached.add(node.call.after);
        }
        if (node.counted) {
          for (const { entry } of node.counted.ways(0)) visit(rules.get(entry)!);
          if (node.counted.cost(0) === 0) reached.add(node.counted.after);
        }
      }
      state.set(rule, "done");
    };
    for (const rule of this.#entries.keys()) visit(rule);
  }
}
