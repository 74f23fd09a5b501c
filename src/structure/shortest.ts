import { type Counted, Repetition } from "./counted.js";
import { TimeSlice } from "./time-slices.js";

/** A node as `measure` reads it. */
export interface Costed {
  readonly edges: readonly { readonly to: Costed }[];
  readonly free: readonly Costed[];
  readonly call: { readonly entry: Costed; readonly after: Costed } | undefined;
  readonly counted: Counted | undefined;
  readonly id: number;
  cost: number;
}

/** An edge of the cost graph: `bytes`, plus the cost of one node, plus `times` the cost of another. */
interface Way {
  readonly from: Costed;
  readonly bytes: number;
  readonly after: Costed;
  readonly part: Costed | undefined;
  readonly times: number;
}

/** Nodes between two checks of the time slice. */
const NODES_TO_CLOCK = 256;

/**
 * Sets the minimum bytes from each node to the end of its rule: Dijkstra's algorithm in Knuth's generalisation to grammars
 * ("A generalization of Dijkstra's algorithm", Information Processing Letters 6, 1977). `nodes` are in the order of their ids.
 */
export function* measure(nodes: readonly Costed[], end: Costed): Generator<void, void> {
  const turn = new TimeSlice();
  /** Edges that depend on a node. */
  const users: Way[][] = nodes.map(() => []);
  const add = (from: Costed, bytes: number, after: Costed, part?: Costed, times = 0): void => {
    const way = { from, bytes, after, part: times > 0 ? part : undefined, times };
    users[after.id]!.push(way);
    if (way.part && way.part !== after) users[way.part.id]!.push(way);
  };
  for (const node of nodes) {
    for (const { to } of node.edges) add(node, 1, to);
    for (const to of node.free) add(node, 0, to);
    if (node.call) add(node, 0, node.call.after, node.call.entry, 1);
    const { counted } = node;
    if (counted instanceof Repetition) {
      add(node, 0, counted.after as Costed, counted.entry as Costed, counted.least);
    } else if (counted) add(node, counted.cost(0), counted.after as Costed);
  }
  if (turn.over()) {
    yield;
    turn.begin();
  }
  const done = new Uint8Array(nodes.length);
  const queue = new Queue();
  let count = 0;
  queue.add(end, 0);
  for (let next = queue.take(); next; next = queue.take()) {
    const { node, cost } = next;
    if (done[node.id]) continue;
    done[node.id] = 1;
    if (++count % NODES_TO_CLOCK === 0 && turn.over()) {
      yield;
      turn.begin();
    }
    node.cost = cost;
    for (const { from, bytes, after, part, times } of users[node.id]!) {
      if (done[from.id] || !done[after.id] || (part && !done[part.id])) continue;
      const whole = bytes + after.cost + (part ? times * part.cost : 0);
      if (whole < Number.POSITIVE_INFINITY) queue.add(from, whole);
    }
  }
}

/** Priority queue of nodes by cost, a binary heap. */
class Queue {
  readonly #heap: { readonly node: Costed; readonly cost: number }[] = [];

  add(node: Costed, cost: number): void {
    const heap = this.#heap;
    let at = heap.push({ node, cost }) - 1;
    for (let above = (at - 1) >> 1; at > 0 && heap[above]!.cost > cost; at = above, above = (at - 1) >> 1) {
      [heap[at], heap[above]] = [heap[above]!, heap[at]!];
    }
  }

  take(): { readonly node: Costed; readonly cost: number } | undefined {
    const heap = this.#heap;
    const [first, last] = [heap[0], heap.pop()];
    if (first && last && first !== last) {
      heap[0] = last;
      for (let at = 0; ; ) {
        let least = at;
        for (const below of [2 * at + 1, 2 * at + 2]) {
          if (below < heap.length && heap[below]!.cost < heap[least]!.cost) least = below;
        }
        if (least === at) break;
        [heap[at], heap[least]] = [heap[least]!, heap[at]!];
        at = least;
      }
    }
    return first;
  }
}
