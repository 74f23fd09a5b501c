import { CheckpointError } from "../base/errors.js";
import { PatternFault } from "./fault.js";
import type { Machine, State } from "./machine.js";
import { TimeSlice } from "./time-slices.js";

/** Bytes that never occur in UTF-8; all others must be tokens, or some texts could not be generated. */
const NEVER_IN_UTF8 = (byte: number): boolean => byte === 0xc0 || byte === 0xc1 || byte > 0xf4;

/** Steps between two checks of the time slice. */
const STEPS_TO_CLOCK = 1024;
/** Maximum positions visited per mask: a second or two. */
const MOST_VISITED = 1_000_000;

/** The tokens of a tokenizer. */
export interface Tokens {
  /** Ids are below it. */
  readonly size: number;
  isSpecial(id: number): boolean;
  /** Returns the bytes of a token; empty if there is none of this id. */
  readBytes(id: number): Uint8Array;
}

interface Token {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** Trie of the bytes of all text tokens: common prefixes are matched once. */
export class TokenTree {
  /** Nodes in preorder: their byte, */
  readonly #byte: Uint8Array;
  /** their depth, */
  readonly #depth: Uint32Array;
  /** the token that ends there, or -1, */
  readonly #token: Int32Array;
  /** and the node after the subtree. */
  readonly #skip: Int32Array;
  /** Tokens with the same bytes as one in the trie. */
  readonly #twins: readonly (readonly [token: number, twin: number])[];
  readonly #deepest: number;

  /** Bytes of the longest token. */
  get deepest(): number {
    return this.#deepest;
  }

  /**
   * Builds the trie of a tokenizer in time slices. Special tokens, `eosTokens` and ids from `vocabulary` on are excluded.
   * Throws CheckpointError if a UTF-8 byte has no token.
   */
  static *of(tokenizer: Tokens, eosTokens: readonly number[], vocabulary: number): Generator<void, TokenTree> {
    const turn = new TimeSlice();
    /** Buckets by first byte, to sort less at once. */
    const beginnings: Token[][] = Array.from({ length: 256 }, () => []);
    for (let id = 0; id < Math.min(tokenizer.size, vocabulary); id++) {
      if (tokenizer.isSpecial(id) || eosTokens.includes(id)) continue;
      const bytes = tokenizer.readBytes(id);
      if (bytes.length > 0) beginnings[bytes[0]!]!.push({ id, bytes });
      if (id % STEPS_TO_CLOCK === 0 && turn.over()) {
        yield;
        turn.begin();
      }
    }
    for (const some of beginnings) {
      some.sort((a, b) => compare(a.bytes, b.bytes));
      if (turn.over()) {
        yield;
        turn.begin();
      }
    }
    const tokens = beginnings.flat();
    checkBytes(tokens);
    return new TokenTree(tokens);
  }

  /** Tokens in the order of their bytes. */
  private constructor(tokens: readonly Token[]) {
    const most = tokens.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const byte = new Uint8Array(most);
    const depth = new Uint32Array(most);
    const token = new Int32Array(most).fill(-1);
    const skip = new Int32Array(most);
    const twins: [number, number][] = [];
    const open: number[] = [];
    let count = 0;
    let before = new Uint8Array();
    for (const { id, bytes } of tokens) {
      let same = 0;
      while (same < bytes.length && bytes[same] === before[same]) same++;
      while (open.length > same) skip[open.pop()!] = count;
      for (let i = same; i < bytes.length; i++) {
        byte[count] = bytes[i]!;
        depth[count] = i;
        open.push(count++);
      }
      const end = open.at(-1)!;
      if (token[end] === -1) token[end] = id;
      else twins.push([token[end]!, id]);
      before = new Uint8Array(bytes);
    }
    for (const node of open) skip[node] = count;
    this.#byte = byte.slice(0, count);
    this.#depth = depth.slice(0, count);
    this.#token = token.slice(0, count);
    this.#skip = skip.slice(0, count);
    this.#twins = twins;
    this.#deepest = tokens.reduce((length, { bytes }) => Math.max(length, bytes.length), 0);
  }

  /**
   * Sets the mask of tokens that are allowed in a state and lead to a state that `fits`: bit t % 32 of word t / 32, for the words of
   * `mask`. Yields at the end of time slices. Throws PatternFault beyond the work limit (seconds).
   */
  *masking(machine: Machine, state: State, mask: Uint32Array, fits: (after: State) => boolean): Generator<void, void> {
    mask.fill(0);
    const most = machine.visited + MOST_VISITED;
    const turn = new TimeSlice();
    const states = new Array<State>(this.#deepest + 1).fill(state);
    const [bytes, tokens, depths, skips] = [this.#byte, this.#token, this.#depth, this.#skip];
    for (let node = 0, steps = 0; node < bytes.length; ) {
      if (++steps >= STEPS_TO_CLOCK) {
        steps = 0;
        if (turn.over()) {
          yield;
          turn.begin();
        }
      }
      const depth = depths[node]!;
      const above = states[depth]!;
      const next = above.next[bytes[node]!];
      let after = next;
      if (after === undefined) {
        after = machine.step(above, bytes[node]!);
        // New states may be expensive.
        steps += STEPS_TO_CLOCK - 1;
        if (machine.visited > most) throw new PatternFault("it can be read in too many ways to choose a token in time");
      }
      if (after === null) {
        node = skips[node]!;
        continue;
      }
      states[depth + 1] = after;
      const token = tokens[node]!;
      if (token >= 0 && fits(after)) mask[token >>> 5]! |= 1 << (token & 31);
      node++;
    }
    for (const [token, twin] of this.#twins) {
      if ((mask[token >>> 5]! >>> (token & 31)) & 1) mask[twin >>> 5]! |= 1 << (twin & 31);
    }
  }

  /** Returns the state after the longest token that is a prefix of a shortest completion. */
  along(machine: Machine, state: State): State {
    let found = state;
    let here = state;
    let [node, end] = [0, this.#byte.length];
    for (;;) {
      const byte = machine.shortest(here);
      while (node < end && this.#byte[node] !== byte) node = this.#skip[node]!;
      if (byte === undefined || node >= end) return found;
      here = machine.step(here, byte)!;
      if (this.#token[node]! >= 0) found = here;
      end = this.#skip[node]!;
      node++;
    }
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function checkBytes(tokens: readonly { bytes: Uint8Array }[]): void {
  const single = new Set(tokens.filter(({ bytes }) => bytes.length === 1).map(({ bytes }) => bytes[0]!));
  for (let byte = 0; byte < 256; byte++) {
    if (single.has(byte) || NEVER_IN_UTF8(byte)) continue;
    throw new CheckpointError({
      where: "the tokenizer's vocabulary",
      expected: "a token for every byte, as structured output requires",
      got: `none for byte 0x${byte.toString(16).padStart(2, "0")}`,
      remedy:
        "use a byte-level tokenizer, such as those published with LLaVA-OneVision, or leave schema, regex and grammar out",
    });
  }
}
