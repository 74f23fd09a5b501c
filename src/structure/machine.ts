import { Network, type Node, PatternFault } from "./network.js";
import type { Pattern } from "./pattern.js";

/** Where a rule goes on when a rule that it called has ended. */
class Frame {
  /** Frames on top of this one, by the node that they return to: equal stacks are one object. */
  readonly above = new Map<Node, Frame>();

  constructor(
    readonly id: number,
    readonly node: Node,
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
const MOST_PLACES = 4096;

/**
 * Reads texts byte by byte, and knows after each whether and how shortly the text can be completed: bytes after which it
 * could not are refused at once. States are made as they are met and found again by what they hold.
 */
export class Machine {
  readonly start: State;
  readonly #network: Network;
  readonly #states = new Map<string, State>();
  /** The frames below which there is none. */
  readonly #frames = new Map<Node, Frame>();
  #frameCount = 0;

  /** Throws PatternFault as Network does. */
  constructor(pattern: Pattern) {
    this.#network = new Network(pattern);
    this.start = this.#state([{ node: this.#network.root, frame: undefined }]);
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
    const seen = new Map<Node, Set<Frame | undefined>>();
    const found: Place[] = [];
    let complete = false;
    for (let place = places.pop(); place; place = places.pop()) {
      const { node, frame } = place;
      if (node === this.#network.end) {
        if (frame) places.push({ node: frame.node, frame: frame.below });
        else complete = true;
        continue;
      }
      if (node.cost === Number.POSITIVE_INFINITY) continue;
      let frames = seen.get(node);
      if (!frames) {
        frames = new Set();
        seen.set(node, frames);
      }
      if (frames.has(frame)) continue;
      frames.add(frame);
      for (const to of node.free) places.push({ node: to, frame });
      if (node.call) places.push({ node: node.call.entry, frame: this.#above(frame, node.call.after) });
      if (node.edges.length > 0 && found.push(place) > MOST_PLACES) {
        throw new PatternFault("it can be read in thousands of ways at once");
      }
    }
    return this.#known(found, complete);
  }

  /** A call that is the last thing of its rule leaves no frame, so that what repeats by recursion stays in one state. */
  #above(frame: Frame | undefined, node: Node): Frame | undefined {
    if (node === this.#network.end) return frame;
    const frames = frame?.above ?? this.#frames;
    let found = frames.get(node);
    if (!found) {
      found = new Frame(++this.#frameCount, node, frame, node.cost + (frame?.cost ?? 0));
      frames.set(node, found);
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
