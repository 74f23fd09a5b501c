import { type Counted, Repetition } from "./counted.js";
import { PatternFault } from "./fault.js";
import type { Pattern } from "./pattern.js";
import { Node, PatternGraph } from "./pattern-graph.js";
import { atOnce } from "./time-slices.js";

/** Frames by where they return to and its count: equal stacks are one object. */
type Frames = Map<Node | Counted, Map<number, Frame>>;

/** Where a rule goes on when a rule that it called has ended. */
class Frame {
  /** Frames on top of this one. */
  readonly above: Frames = new Map();

  constructor(
    readonly id: number,
    readonly to: Node | Counted,
    /** Of a part that is counted, else 0. */
    readonly count: number,
    readonly below: Frame | undefined,
    /** Fewest bytes from here to the end of the text. */
    readonly cost: number,
  ) {}
}

/** One of the places where a text may stand in the pattern. */
interface Place {
  readonly node: Node;
  readonly frame: Frame | undefined;
}

/** All places where a text may stand, those that some byte leads on from. */
export class State {
  /** The states after each byte, as far as they are known; null where the byte cannot come. */
  readonly next: (State | null | undefined)[] = [];

  constructor(
    readonly places: readonly Place[],
    /** Whether the text may end here. */
    readonly complete: boolean,
    /** Fewest bytes that complete the text. */
    readonly cost: number,
  ) {}
}

/** Beyond this many states what is known of them is forgotten: they take tens of megabytes. */
const MOST_STATES = 20_000;
/** Beyond this many places in one state a grammar is hopelessly ambiguous. */
const MOST_PLACES = 1024;

/**
 * Reads texts byte by byte, and knows after each whether and how shortly the text can be completed: bytes after which it
 * could not are refused at once. States are made as they are met and found again by what they hold.
 */
export class Machine {
  readonly start: State;
  readonly #graph: PatternGraph;
  readonly #states = new Map<string, State>();
  /** The frames below which there is none. */
  readonly #frames: Frames = new Map();
  #frameCount = 0;
  #visited = 0;

  /** Throws PatternFault as PatternGraph does, which may be made before, in turns. */
  constructor(pattern: Pattern | PatternGraph) {
    this.#graph = pattern instanceof PatternGraph ? pattern : atOnce(PatternGraph.of(pattern));
    this.start = this.#state([{ node: this.#graph.root, frame: undefined }]);
  }

  /** Places that have been gone through so far: what reading has taken. */
  get visited(): number {
    return this.#visited;
  }

  /** The state after a byte, null if the byte cannot come. */
  step(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const reached: Place[] = [];
    // The bytes about this one that lead the same way.
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

  /** The first byte of a shortest way to complete the text, the same for equal states; undefined where it is complete. */
  shortest(state: State): number | undefined {
    if (state.cost === 0) return undefined;
    let least = 256;
    for (const { node, frame } of state.places) {
      if (node.cost + (frame?.cost ?? 0) !== state.cost) continue;
      for (const { first, to } of node.edges) if (to.cost === node.cost - 1) least = Math.min(least, first);
    }
    return least;
  }

  /** The state of these places and all that are reached from them without a byte. */
  #state(places: Place[]): State {
    if (this.#states.size >= MOST_STATES) {
      for (const state of this.#states.values()) state.next.length = 0;
      this.#states.clear();
      this.#frames.clear();
    }
    const seen = new Map<Node | Counted, Set<Frame | undefined>>();
    /** Whether it is new. */
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
        // A repetition that was entered without a byte since has gone on already.
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

  /** Adds the places at a count of a part. */
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
    // A call that is the last thing of its rule leaves no frame, so that what repeats by recursion stays in one state.
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
