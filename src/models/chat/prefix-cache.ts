import { BLOCK_ROWS } from "../../kernels/kv-blocks.js";
import type { BlockUser, KVPool } from "../../layers/kv-pool.js";
import type { Sequence } from "./sequence.js";

/** Size of the cache if `prefixCacheBytes` is not given. */
export const PREFIX_CACHE_BYTES = 256 * 1024 * 1024;

/** A full block of a sequence, found by what it has behind the blocks before it. */
interface Node {
  block: number;
  readonly parent: Map<string, Node>;
  /** Its key in `parent`. */
  readonly key: string;
  readonly next: Map<string, Node>;
}

/**
 * Full blocks of keys and values by the sequences that they begin, as in vLLM's automatic prefix caching and SGLang's radix tree
 * (arXiv 2312.07104): a session whose prompt begins like another's takes the other's blocks. Blocks that no session has are kept up to a
 * size, with LRU eviction. Found by the ids and the keys of media themselves, so two sequences are never taken for the same.
 */
export class PrefixCache implements BlockUser {
  /** First blocks, by adapters. */
  readonly #first = new Map<string, Map<string, Node>>();
  /** In order of last use; later blocks of a sequence before earlier ones, which are needed longer. */
  readonly #nodes = new Set<Node>();

  constructor(
    readonly pool: KVPool,
    /** Maximum bytes of blocks that no session has; 0 keeps none. */
    readonly mostBytes: number,
  ) {}

  /** Blocks that it has. */
  get size(): number {
    return this.#nodes.size;
  }

  /** Returns the blocks of the longest known prefix of a prompt, at most those of the first `rows` rows. */
  find(prompt: Sequence, adapters: readonly string[] | undefined, rows: number): number[] {
    const found: Node[] = [];
    let nodes = this.#first.get(keyOf(adapters));
    for (let first = 0; nodes && first + BLOCK_ROWS <= rows; first += BLOCK_ROWS) {
      const node = nodes.get(contentOf(prompt, first));
      if (!node) break;
      found.push(node);
      nodes = node.next;
    }
    this.#use(found);
    return found.map(({ block }) => block);
  }

  /** Adds the full blocks of a sequence whose first `rows` rows are in `blocks`; those that are known stay as they are. */
  keep(sequence: Sequence, adapters: readonly string[] | undefined, blocks: readonly number[], rows: number): void {
    const path: Node[] = [];
    let nodes = this.#first.get(keyOf(adapters)) ?? new Map<string, Node>();
    this.#first.set(keyOf(adapters), nodes);
    for (let first = 0; first + BLOCK_ROWS <= rows; first += BLOCK_ROWS) {
      const key = contentOf(sequence, first);
      let node: Node | undefined = nodes.get(key);
      if (!node) {
        node = { block: blocks[first / BLOCK_ROWS]!, parent: nodes, key, next: new Map() };
        nodes.set(key, node);
        this.pool.share([node.block], this);
      }
      path.push(node);
      nodes = node.next;
    }
    this.#use(path);
    this.evict();
  }

  /** Evicts blocks that no session has until they are within the size; called when a session ends. */
  evict(mostBytes = this.mostBytes): void {
    const idle = [...this.#nodes].filter(({ block }) => !this.pool.isShared(block));
    let excess = idle.length - Math.floor(mostBytes / this.pool.blockBytes);
    for (const node of idle) {
      if (excess <= 0) return;
      // A block that a session has may follow one that it computed for itself.
      if (node.next.size > 0) continue;
      this.#drop(node);
      excess--;
    }
  }

  /** Evicts all blocks that no session has. */
  clear(): void {
    this.evict(0);
  }

  /** Forgets all blocks: their rows are not what would be computed now. */
  forget(): void {
    for (const node of [...this.#nodes]) this.#drop(node);
    this.#first.clear();
  }

  lost(): void {
    this.forget();
  }

  moved(places: ReadonlyMap<number, number>): void {
    for (const node of this.#nodes) node.block = places.get(node.block) ?? node.block;
  }

  #use(path: readonly Node[]): void {
    for (const node of path.toReversed()) {
      this.#nodes.delete(node);
      this.#nodes.add(node);
    }
  }

  #drop(node: Node): void {
    this.#nodes.delete(node);
    node.parent.delete(node.key);
    this.pool.release([node.block]);
  }
}

function keyOf(adapters: readonly string[] | undefined): string {
  return JSON.stringify(adapters ?? null);
}

/** What distinguishes a block from others behind the same blocks: its ids, and the media that it has rows of. */
function contentOf({ inputIds, media }: Sequence, first: number): string {
  const end = first + BLOCK_ROWS;
  const own = media.filter(({ start, tokens }) => start < end && start + tokens > first);
  return [inputIds.slice(first, end).join(), ...own.map(({ start, key }) => `${start} ${key}`)].join("\n");
}
