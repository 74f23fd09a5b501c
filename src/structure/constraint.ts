import type { Tokenizer } from "../io/tokenizer.js";
import { OptionError } from "../runtime/errors.js";
import { PatternFault } from "./fault.js";
import { parseGrammar } from "./grammar.js";
import { Machine, type State } from "./machine.js";
import type { Pattern } from "./pattern.js";
import { PatternGraph } from "./pattern-graph.js";
import { wholeMatch } from "./regex.js";
import { schemaPatterns } from "./schema.js";
import { atOnce } from "./time-slices.js";
import { TokenTree } from "./token-tree.js";

/** What the tokens of one answer may be. */
export interface Constraint {
  /**
   * Sets the bits of tokens that may come next, bit t % 32 of word t / 32; end tokens exactly where the answer may end.
   * `left` is the number of tokens that the answer may still have, this one and the end token among them: a token after which
   * the answer could not be completed in time is not allowed. Where no token is left that could, the answer is not hurried.
   */
  allow(mask: Uint32Array, left: number): void;
  /** As `allow`, but yields when it has worked for some milliseconds, so that others can go on. */
  allowing(mask: Uint32Array, left: number): Generator<void, void>;
  /** The answer goes on with this token, one of those allowed and not an end token. */
  accept(token: number): void;
}

export interface Structure {
  readonly schema?: object | true | undefined;
  readonly regex?: string | undefined;
  readonly grammar?: string | undefined;
}

/**
 * The constraint that an answer's options ask for, undefined where they ask for none, made in turns. What is compiled is kept
 * with the tokenizer. Throws OptionError for a schema, expression or grammar that is wrong, too large, has parts that can't be
 * held to exactly, or that no text fits.
 */
export function* constraintFor(
  structure: Structure,
  tokenizer: Tokenizer,
  eosTokens: readonly number[],
  vocabulary: number,
): Generator<void, Constraint | undefined> {
  const kind = (["schema", "regex", "grammar"] as const).find((name) => structure[name] !== undefined);
  if (!kind) return undefined;
  const source = kind === "schema" ? jsonOf(structure.schema) : structure[kind]!;
  if (source.length > MOST_CHARACTERS) {
    throw new OptionError({
      where: kind,
      expected: `at most ${MOST_CHARACTERS} characters`,
      got: String(source.length),
      remedy: "ask for less in one answer",
    });
  }
  const guide = yield* guideFor(kind, source, tokenizer, eosTokens, vocabulary);
  return new Walk(guide, tokenizer, eosTokens);
}

/** Compiled structures that are kept for a tokenizer; a large one takes a few megabytes. */
const MOST_GUIDES = 16;
/** Masks that are kept for a structure: 5 MB for the real vocabulary. */
const MOST_MASKS = 256;

/** Places of the pattern that are gone through to count the tokens of ways to the end, for one mask. */
const MOST_WALKED = 30_000;
/** Of longer ways the bytes are counted. */
const MOST_BYTES = 10_000;
/** Longer sources are refused before they are read. */
const MOST_CHARACTERS = 500_000;

/** What is kept for a tokenizer, the end tokens and the vocabulary of a model. */
interface Kept {
  readonly tree: TokenTree;
  readonly guides: Map<string, Guide>;
}

const kept = new WeakMap<Tokenizer, Map<string, Kept>>();

function* guideFor(
  kind: keyof Structure,
  source: string,
  tokenizer: Tokenizer,
  eosTokens: readonly number[],
  vocabulary: number,
): Generator<void, Guide> {
  const models = kept.get(tokenizer) ?? new Map<string, Kept>();
  kept.set(tokenizer, models);
  const model = `${vocabulary} ${eosTokens.join()}`;
  const { tree, guides } = models.get(model) ?? {
    tree: yield* TokenTree.of(tokenizer, eosTokens, vocabulary),
    guides: new Map<string, Guide>(),
  };
  models.set(model, { tree, guides });
  const key = `${kind} ${source}`;
  const guide = guides.get(key) ?? new Guide(kind, yield* machineFor(kind, source), tree);
  remember(guides, key, guide, MOST_GUIDES);
  return guide;
}

/** Puts an entry last, and drops the first when there are too many. */
function remember<K, V>(map: Map<K, V>, key: K, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as K);
}

const PATTERNS: Record<keyof Structure, (source: string) => Generator<void, Pattern>> = {
  schema: (source) => schemaPatterns(JSON.parse(source) as object | true),
  regex: (source) => inOneTurn(() => wholeMatch(source, "regex")),
  grammar: (source) => inOneTurn(() => parseGrammar(source)),
};

function* inOneTurn<T>(work: () => T): Generator<void, T> {
  yield;
  return work();
}

function* machineFor(kind: keyof Structure, source: string): Generator<void, Machine> {
  const pattern = yield* explainedInTimeSlices(kind, PATTERNS[kind](source));
  const graph = yield* explainedInTimeSlices(kind, PatternGraph.of(pattern));
  return explained(kind, () => new Machine(graph));
}

function* explainedInTimeSlices<T>(kind: keyof Structure, work: Generator<void, T>): Generator<void, T> {
  for (;;) {
    const { done, value } = explained(kind, () => work.next());
    if (done) return value;
    yield;
  }
}

/** Says of which option a pattern is. */
function explained<T>(kind: keyof Structure, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    // A range error is the engine's for calls too deep.
    if (!(cause instanceof PatternFault || cause instanceof RangeError)) throw cause;
    const { message } = cause;
    throw new OptionError({
      where: kind,
      expected: `a ${kind} that can be followed`,
      got: cause instanceof RangeError ? "one that is nested too deeply" : message,
      remedy: "make it simpler, or check it for contradictions",
      cause,
    });
  }
}

function jsonOf(schema: object | true | undefined): string {
  try {
    return JSON.stringify(schema);
  } catch (cause) {
    throw new OptionError({
      where: "schema",
      expected: "an object that can be written as JSON",
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: "use $defs and $ref for a schema that contains itself",
      cause,
    });
  }
}

/** A machine and what is known of its states for one vocabulary. */
class Guide {
  readonly #masks = new Map<State, { words: Uint32Array; cost: number }>();
  readonly #costs = new WeakMap<State, number>();
  #walked = 0;

  constructor(
    readonly kind: keyof Structure,
    readonly machine: Machine,
    readonly tree: TokenTree,
  ) {}

  /** All tokens that may come, the time aside, and the most bytes that any of them leaves to be written. */
  *mask(state: State, length: number): Generator<void, { words: Uint32Array; cost: number }> {
    let mask = this.#masks.get(state);
    if (mask?.words.length !== length) {
      const words = new Uint32Array(length);
      let cost = 0;
      yield* this.tree.masking(this.machine, state, words, (after) => {
        cost = Math.max(cost, after.cost);
        return true;
      });
      mask = { words, cost };
    }
    remember(this.#masks, state, mask, MOST_MASKS);
    return mask;
  }

  /**
   * Whether `most` tokens can complete the text: those of a shortest way, the longest that fit, one after the other. After the
   * first of them it is one less, so that whoever has this many tokens left always finds one to go on with.
   */
  completes(state: State, most: number): boolean {
    // No token is shorter than a byte, and none longer than the longest.
    if (state.cost <= most) return true;
    return state.cost <= Math.min(most * this.tree.deepest, MOST_BYTES) && this.#cost(state) <= most;
  }

  /** Lets `completes` follow ways again; it does so only for a while. */
  rest(): void {
    this.#walked = 0;
  }

  /** Tokens of a shortest way, Infinity where following it would take too long. */
  #cost(state: State): number {
    const begun = this.machine.visited;
    const last = begun + MOST_WALKED - this.#walked;
    const passed: State[] = [];
    let here = state;
    while (here.cost > 0 && !this.#costs.has(here) && this.machine.visited < last) {
      passed.push(here);
      here = this.tree.along(this.machine, here);
    }
    this.#walked += this.machine.visited - begun;
    let cost = here.cost === 0 ? 0 : this.#costs.get(here);
    if (cost === undefined) return Number.POSITIVE_INFINITY;
    for (const before of passed.reverse()) this.#costs.set(before, ++cost);
    return cost;
  }
}

/** The way of one answer. */
class Walk implements Constraint {
  #state: State;

  constructor(
    readonly guide: Guide,
    readonly tokenizer: Tokenizer,
    readonly eosTokens: readonly number[],
  ) {
    this.#state = guide.machine.start;
  }

  allow(mask: Uint32Array, left: number): void {
    atOnce(this.allowing(mask, left));
  }

  *allowing(mask: Uint32Array, left: number): Generator<void, void> {
    yield* explainedInTimeSlices(this.guide.kind, this.#fill(mask, left));
    if (!this.#state.complete) return;
    for (const token of this.eosTokens) if (token >>> 5 < mask.length) mask[token >>> 5]! |= 1 << (token & 31);
  }

  accept(token: number): void {
    const { kind, machine } = this.guide;
    for (const byte of this.tokenizer.bytesOf(token)) {
      const next = explained(kind, () => machine.step(this.#state, byte));
      if (!next) throw new Error(`token ${token} was not allowed`);
      this.#state = next;
    }
  }

  *#fill(mask: Uint32Array, left: number): Generator<void, void> {
    const { guide } = this;
    const { machine, tree } = guide;
    const all = yield* guide.mask(this.#state, mask.length);
    // After this token so many remain, one of them to end with.
    const rest = left - 2;
    if (all.cost > rest) {
      // Without the end token the answer is whole as well.
      for (const most of [rest, rest + 1]) {
        guide.rest();
        yield* tree.masking(machine, this.#state, mask, (after) => guide.completes(after, most));
        if (this.#state.complete || mask.some((word) => word !== 0)) return;
      }
    }
    mask.set(all.words);
  }
}
