import { type Counted, Repetition } from "./counted.js";
import { PatternFault } from "./fault.js";
import type { Pattern } from "./pattern.js";
import { Node, PatternGraph } from "./pattern-graph.js";
import { atOnce } from "./time-slices.js";

/** Hash-consed frames by return node and count: equal stacks are the same object. */
type Frames = Map<Node | Counted, Map<number, Frame>>;

/** Stack frame: where to continue after a called rule. */
class Frame {
  /** Interned frames on top of this one. */
  readonly above: Frames = new Map();

  constructor(
    readonly id: number,
    readonly to: Node | Counted,
    /** Count within a counted part, else 0. */
    readonly count: number,
    readonly below: Frame | undefined,
    /** Minimum bytes from here to the end of the text. */
    readonly cost: number,
  ) {}
}

/** A position in the pattern. */
interface Place {
  readonly node: Node;
  readonly frame: Frame | undefined;
}

/** The set of positions after a prefix of the text that have outgoing byte edges. */
export class State {
  /** Cached transitions by byte; null for a byte that is not allowed. */
  readonly next: (State | null | undefined)[] = [];
  /** The one byte that may come next, -1 if there are several; undefined if it was not asked for. */
  only: number | undefined;

  constructor(
    readonly places: readonly Place[],
    /** Whether the text may end here. */
    readonly complete: boolean,
    /** Minimum bytes that complete the text. */
    readonly cost: number,
  ) {}
}

/** Maximum cached states; beyond it the cache is cleared, since it takes tens of megabytes. */
const MOST_STATES = 20_000;
/** Maximum positions in a state; beyond it a grammar is too ambiguous. */
const MOST_PLACES = 1024;

/**
 * A pushdown recogniser that reads bytes, with the minimum bytes to completion in each state: bytes after which the text could not be
 * completed are rejected immediately. States are built lazily (subset construction with interned stacks) and cached by content.
 */
export class Machine {
  readonly start: State;
  readonly #graph: PatternGraph;
  readonly #states = new Map<string, State>();
  /** The frames below which there is none. */
  readonly #frames: Frames = new Map();
  #frameCount = 0;
  #visited = 0;

  /** Takes a pattern, or its graph, which can be built in time slices. Throws PatternFault as PatternGraph does. */
  constructor(pattern: Pattern | PatternGraph) {
    this.#graph = pattern instanceof PatternGraph ? pattern : atOnce(PatternGraph.of(pattern));
    this.start = this.#state([{ node: this.#graph.root, frame: undefined }]);
  }

  /** Positions visited so far, a measure of work. */
  get visited(): number {
    return this.#visited;
  }

  /** Returns the state after a byte, null if the byte is not allowed. */
  step(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const reached: Place[] = [];
    // The range of bytes with the same transition.
    let [least, most] = [0, 255];
    for (const { node, frame } of state.places) {
      for (const { first, last, to } of node.edges) {
        if (last < byte) least = Math.max(least, last + 1);
        else if (first > byte) most = Math.min(most, first - 1);
        else {
          reached.push({ node: to, frame });
          [least, most] = [Math.max(least, first), Math.min(most, last)];
        }
      }
    }
    const found = reached.length === 0 ? null : this.#state(reached);
    const next = found && (found.complete || found.places.length > 0) ? found : null;
    for (let alike = least; alike <= most; alike++) state.next[alike] = next;
    return next;
  }

  /** Returns the one byte that may come next; undefined if there are several, or the text may end. */
  only(state: State): number | undefined {
    if (state.complete) return undefined;
    if (state.only === undefined) {
      let found = -1;
      for (let byte = 0; byte < 256; byte++) {
        if (this.step(state, byte) === null) continue;
        if (found >= 0) {
          found = -1;
          break;
        }
        found = byte;
      }
      state.only = found;
    }
    return state.only < 0 ? undefined : state.only;
  }

  /** Returns the first byte of a shortest completion, deterministic per state; undefined if the text is complete. */
  shortest(state: State): number | undefined {
    if (state.cost === 0) return undefined;
    let least = 256;
    for (const { node, frame } of state.places) {
      if (node.cost + (frame?.cost ?? 0) !== state.cost) continue;
      for (const { first, to } of node.edges) if (to.cost === node.cost - 1) least = Math.min(least, first);
    }
    return least;
  }

  /** Returns the state of the epsilon closure of positions. */
  #state(places: Place[]): State {
    if (this.#states.size >= MOST_STATES) {
      for (const state of this.#states.values()) state.next.length = 0;
      this.#states.clear();
      this.#frames.clear();
    }
    const seen = new Map<Node | Counted, Set<Frame | undefined>>();
    /** Adds a position; returns whether it is new. */
    const note = (what: Node | Counted, frame: Frame | undefined): boolean => {
      const frames = seen.get(what) ?? new Set();
      seen.set(what, frames);
      return frames.size < frames.add(frame).size;
    };
    const found: Place[] = [];
    let complete = false;
    for (let place = places.pop(); place; place = places.pop()) {
      const { node, frame } = place;
      this.#visited++;
      if (node === this.#graph.end) {
        if (!frame) complete = true;
        else if (frame.to instanceof Node) places.push({ node: frame.to, frame: frame.below });
        // A repetition without a byte since its last iteration is already covered.
        else if (!(frame.to instanceof Repetition && frame.to.mayBeEmpty && seen.get(frame.to)?.has(frame))) {
          this.#count(frame.to, frame.count, frame.below, places, note);
        }
        continue;
      }
      if (node.cost === Number.POSITIVE_INFINITY || !note(node, frame)) continue;
      for (const to of node.free) places.push({ node: to, frame });
      if (node.call) places.push({ node: node.call.entry, frame: this.#above(frame, node.call.after, 0) });
      if (node.counted) this.#count(node.counted, 0, frame, places, note);
      if (node.edges.length > 0 && found.push(place) > MOST_PLACES) {
        throw new PatternFault("it can be read in a thousand ways at once");
      }
    }
    return this.#known(found, complete);
  }

  /** Adds the positions at a count of a part. */
  #count(
    counted: Counted,
    count: number,
    below: Frame | undefined,
    places: Place[],
    note: (what: Counted, frame: Frame | undefined) => boolean,
  ): void {
    if (counted.ends(count)) places.push({ node: counted.after, frame: below });
    for (const way of counted.ways(count)) {
      const frame = this.#above(below, way.to, way.count);
      if (way.to instanceof Repetition && !note(way.to, frame)) continue;
      places.push({ node: way.entry, frame });
    }
  }

  #above(below: Frame | undefined, to: Node | Counted, count: number): Frame | undefined {
    // Tail call elimination: right recursion stays in one state.
    if (to === this.#graph.end) return below;
    const frames = below?.above ?? this.#frames;
    const counts = frames.get(to) ?? new Map<number, Frame>();
    frames.set(to, counts);
    let found = counts.get(count);
    if (!found) {
      const cost = to instanceof Node ? to.cost : to.cost(count) + to.after.cost;
      found = new Frame(++this.#frameCount, to, count, below, cost + (below?.cost ?? 0));
      counts.set(count, found);
    }
    return found;
  }

  #known(places: readonly Place[], complete: boolean): State {
    const key = `${complete} ${places
      .map(({ node, frame }) => `${node.id}.${frame?.id ?? 0}`)
      .sort()
      .join(" ")}`;
    let state = this.#states.get(key);
    if (!state) {
      const costs = places.map(({ node, frame }) => node.cost + (frame?.cost ?? 0));
      state = new State(places, complete, complete ? 0 : Math.min(...costs));
      this.#states.set(key, state);
    }
    return state;
  }
}
