import { causeMessage } from "../base/cause-message.js";
import { OptionError } from "../base/errors.js";
import { kindOf } from "../base/kind-of.js";
import { CompileBudget } from "./compile-budget.js";
import { PatternFault } from "./fault.js";
import { parseGrammar } from "./grammar.js";
import { Machine, type State } from "./machine.js";
import type { Pattern } from "./pattern.js";
import { PatternGraph } from "./pattern-graph.js";
import { wholeMatch } from "./regex.js";
import { schemaPatterns } from "./schema.js";
import { atOnce } from "./time-slices.js";
import { type Tokens, TokenTree } from "./token-tree.js";

/** Constrained decoding of one answer. */
export interface Constraint {
  /**
   * Sets the mask of allowed tokens, bit t % 32 of word t / 32; EOS tokens are allowed exactly where the answer may end.
   * `left` is the remaining token budget, including this one and the EOS token: a token after which the answer could not be completed
   * within the budget is not allowed, unless no token could.
   */
  allow(mask: Uint32Array, left: number): void;
  /** Like `allow`, but yields after some milliseconds, so that the event loop can run. */
  allowing(mask: Uint32Array, left: number): Generator<void, void>;
  /** Whether the text may end here. */
  readonly complete: boolean;
  /** Whether a token that is not an EOS token may come next, whatever the budget. */
  allows(token: number): boolean;
  /** Advances by a token that is allowed and not an EOS token. */
  accept(token: number): void;
  /** The text that must come next, up to a choice or the end: keys of an object, say. Whole characters; it may be empty. */
  forced(): string;
  /** A copy of the state, which advances by itself. */
  fork(): Constraint;
}

/** What a text must be: one of the three. */
export interface Structure {
  /** A JSON schema, draft 2020-12 and the dialects in docs/structured-answers.md; `true` is any JSON. */
  readonly schema?: object | true | undefined;
  /** A regular expression for the whole text, as of JavaScript's `u` flag. */
  readonly regex?: string | undefined;
  /** A grammar in EBNF with a rule `root`. */
  readonly grammar?: string | undefined;
}

/**
 * Compiles the constraint of an answer's options in time slices; undefined if they have none. Compiled structures are cached per
 * tokenizer. Throws OptionError for a schema, expression or grammar that is invalid, too large, not exactly enforceable, or that no
 * text matches.
 */
export function* constraintFor(
  structure: Structure,
  tokenizer: Tokens,
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

/** Compiled structures cached per tokenizer; a large one takes a few megabytes. */
const MOST_GUIDES = 16;
/** Masks cached per structure: 5 MB for the full vocabulary. */
const MOST_MASKS = 256;

/** Positions visited per mask to count the tokens of completions. */
const MOST_WALKED = 30_000;
/** For longer completions the bytes are counted instead. */
const MOST_BYTES = 10_000;
/** Bytes of forced text that are looked for at once. */
const MOST_FORCED = 64;
/** Longer sources are rejected before parsing. */
const MOST_CHARACTERS = 500_000;

/** Cache entry of a tokenizer, EOS tokens and vocabulary. */
interface Cached {
  readonly tree: TokenTree;
  readonly guides: Map<string, Guide>;
}

const cache = new WeakMap<Tokens, Map<string, Cached>>();

function* guideFor(
  kind: keyof Structure,
  source: string,
  tokenizer: Tokens,
  eosTokens: readonly number[],
  vocabulary: number,
): Generator<void, Guide> {
  const models = cache.get(tokenizer) ?? new Map<string, Cached>();
  cache.set(tokenizer, models);
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

/** Adds an entry to an LRU map, and evicts the least recently used one when it is full. */
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
  const budget = new CompileBudget();
  const pattern = yield* explainedInTimeSlices(kind, PATTERNS[kind](source), budget);
  const graph = yield* explainedInTimeSlices(kind, PatternGraph.of(pattern), budget);
  return explained(kind, () => new Machine(graph));
}

function* explainedInTimeSlices<T>(
  kind: keyof Structure,
  work: Generator<void, T>,
  budget?: CompileBudget,
): Generator<void, T> {
  const next = (): IteratorResult<void, T> => work.next();
  for (;;) {
    const { done, value } = explained(kind, () => (budget ? budget.run(next) : next()));
    if (done) return value;
    yield;
  }
}

/** Runs a compilation step, and converts its errors to an OptionError that names the option. */
function explained<T>(kind: keyof Structure, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    // A RangeError is the engine's stack overflow.
    if (!(cause instanceof PatternFault || cause instanceof RangeError)) throw cause;
    const { message } = cause;
    throw new OptionError({
      where: kind,
      expected: `a supported ${kind}`,
      got: cause instanceof RangeError ? "one that is nested too deeply" : message,
      remedy: "make it simpler, or check it for contradictions",
      cause,
    });
  }
}

function jsonOf(schema: object | true | undefined): string {
  // As JSON, these would be {}, the schema of any text.
  const kind = Object.prototype.toString.call(schema).slice(8, -1);
  if (kind !== "Object" && kind !== "Boolean") {
    throw new OptionError({
      where: "schema",
      expected: "a JSON schema",
      got: kind === "RegExp" ? `the regular expression ${schema}` : kindOf(schema),
      remedy: kind === "RegExp" ? "give it as `regex`" : "give the schema as a plain object",
    });
  }
  const method = Object.entries(schema ?? {}).find(([, value]) => typeof value === "function")?.[0];
  if (method !== undefined) {
    throw new OptionError({
      where: "schema",
      expected: "a JSON schema",
      got: `an object with the method ${method}`,
      remedy: "convert it to a JSON schema first, for example with z.toJSONSchema(schema) of zod 4",
    });
  }
  try {
    return JSON.stringify(schema);
  } catch (cause) {
    throw new OptionError({
      where: "schema",
      expected: "an object that can be written as JSON",
      got: causeMessage(cause),
      remedy: "use $defs and $ref for a schema that contains itself",
      cause,
    });
  }
}

/** A compiled pattern for one vocabulary: its machine, with cached masks by state. */
class Guide {
  readonly #masks = new Map<State, { words: Uint32Array; cost: number }>();
  readonly #costs = new WeakMap<State, number>();
  #walked = 0;

  constructor(
    readonly kind: keyof Structure,
    readonly machine: Machine,
    readonly tree: TokenTree,
  ) {}

  /** The mask of all allowed tokens regardless of the budget, and the maximum bytes left to complete after any of them. */
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
   * Whether `most` tokens can complete the text along a shortest completion, greedily by longest tokens. The first of them reduces the
   * count by one, so an answer with this budget can always continue.
   */
  completes(state: State, most: number): boolean {
    // Bounds: a token has at least one byte, and at most those of the longest token.
    if (state.cost <= most) return true;
    return state.cost <= Math.min(most * this.tree.deepest, MOST_BYTES) && this.#cost(state) <= most;
  }

  /** Resets the work limit of `completes`. */
  rest(): void {
    this.#walked = 0;
  }

  /** Number of tokens of a shortest completion; Infinity beyond the work limit. */
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

/** The constraint state of one answer. */
class Walk implements Constraint {
  #state: State;

  constructor(
    readonly guide: Guide,
    readonly tokenizer: Tokens,
    readonly eosTokens: readonly number[],
    state = guide.machine.start,
  ) {
    this.#state = state;
  }

  get complete(): boolean {
    return this.#state.complete;
  }

  allow(mask: Uint32Array, left: number): void {
    atOnce(this.allowing(mask, left));
  }

  *allowing(mask: Uint32Array, left: number): Generator<void, void> {
    yield* explainedInTimeSlices(this.guide.kind, this.#fill(mask, left));
    if (!this.#state.complete) return;
    for (const token of this.eosTokens) if (token >>> 5 < mask.length) mask[token >>> 5]! |= 1 << (token & 31);
  }

  allows(token: number): boolean {
    return this.#after(token) !== undefined;
  }

  accept(token: number): void {
    const after = this.#after(token);
    if (!after) throw new Error(`token ${token} was not allowed`);
    this.#state = after;
  }

  forced(): string {
    const { kind, machine } = this.guide;
    const bytes: number[] = [];
    let state = this.#state;
    while (bytes.length < MOST_FORCED) {
      const byte = explained(kind, () => machine.only(state));
      if (byte === undefined) break;
      bytes.push(byte);
      state = machine.step(state, byte)!;
    }
    // A character whose other bytes are not forced is left out.
    return new TextDecoder().decode(Uint8Array.from(bytes), { stream: true });
  }

  fork(): Constraint {
    return new Walk(this.guide, this.tokenizer, this.eosTokens, this.#state);
  }

  /** The state after a token; undefined if it is not allowed. */
  #after(token: number): State | undefined {
    const { kind, machine } = this.guide;
    let state = this.#state;
    for (const byte of this.tokenizer.readBytes(token)) {
      const next = explained(kind, () => machine.step(state, byte));
      if (!next) return undefined;
      state = next;
    }
    return state;
  }

  *#fill(mask: Uint32Array, left: number): Generator<void, void> {
    const { guide } = this;
    const { machine, tree } = guide;
    const all = yield* guide.mask(this.#state, mask.length);
    // The budget after this token, including the EOS token.
    const rest = left - 2;
    if (all.cost > rest) {
      // At the budget's end the answer is complete without an EOS token as well.
      for (const most of [rest, rest + 1]) {
        guide.rest();
        yield* tree.masking(machine, this.#state, mask, (after) => guide.completes(after, most));
        if (this.#state.complete || mask.some((word) => word !== 0)) return;
      }
    }
    mask.set(all.words);
  }
}
