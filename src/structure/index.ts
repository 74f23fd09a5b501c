/** Structured output for any tokenizer: the tokens that may come next under a JSON schema, a regular expression or a grammar. */

import { OptionError, shown, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import { tokenBytes } from "../io/detokenizer.js";
import { type Constraint, constraintFor, type Structure } from "./constraint.js";
import { inTimeSlices } from "./time-slices.js";
import type { Tokens } from "./token-tree.js";

export type { Structure } from "./constraint.js";
export { tokenBytes };

/** A tokenizer's tokens. Pass the same object again: what is built from it is cached by its identity. */
export interface Vocabulary {
  /** The bytes of each token, by id. Tokens without bytes (special ones, unused ids) are never allowed. Not to be changed afterwards. */
  readonly tokens: ArrayLike<Uint8Array | undefined>;
  /** The tokens that end a text. Their bytes do not count. */
  readonly eosTokens: readonly number[];
}

/** Options of {@link constrain}. */
export interface ConstrainOptions {
  /** Aborts the compilation. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The position of one text within a structure.
 * @example
 * ```ts
 * import { constrain, tokenBytes } from "ocellus/structure";
 *
 * // A byte-level BPE's tokenizer.json; other tokenizers bring the bytes of their tokens in their own way.
 * const { model } = JSON.parse(tokenizerJson) as { model: { vocab: Record<string, number> } };
 * const tokens: Uint8Array[] = [];
 * for (const [token, id] of Object.entries(model.vocab)) tokens[id] = tokenBytes(token);
 *
 * const position = await constrain({ regex: "yes|no" }, { tokens, eosTokens: [151645] });
 * while (!position.ended) {
 *   const mask = position.mask();
 *   const token = logits().reduce((best, x, id, all) => (mask[id >>> 5]! & (1 << (id & 31)) && x > (all[best] ?? -Infinity) ? id : best), -1);
 *   position.accept(token);
 * }
 * ```
 */
export class TokenConstraint {
  readonly #constraint: Constraint;
  readonly #vocabulary: Vocabulary;
  #ended = false;

  private constructor(constraint: Constraint, vocabulary: Vocabulary) {
    this.#constraint = constraint;
    this.#vocabulary = vocabulary;
  }

  /** @internal */
  static of(constraint: Constraint, vocabulary: Vocabulary): TokenConstraint {
    return new TokenConstraint(constraint, vocabulary);
  }

  /** Whether the text may end here. */
  get complete(): boolean {
    return this.#constraint.complete;
  }

  /** Whether an EOS token was accepted. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Returns the mask of the tokens that may come next: bit `id % 32` of word `id / 32`. EOS tokens are allowed where the text may end. With
   * `left`, the number of tokens that may still be generated (this one and the EOS token included), tokens after which the text could not be
   * completed in time are not allowed. Throws OptionError after the end.
   */
  mask(left = Number.POSITIVE_INFINITY): Uint32Array {
    if (this.#ended) throw misuse("mask", "a text that has not ended", "one whose EOS token was accepted");
    if (!(left >= 1)) throw misuse("mask, left", "a number of tokens, at least 1", shown(left));
    const mask = new Uint32Array(Math.ceil(sizeOf(this.#vocabulary) / 32));
    this.#constraint.allow(mask, left);
    return mask;
  }

  /** Advances by a token. Throws OptionError for one that may not come next; the position stays. */
  accept(token: number): void {
    if (this.#ended) throw misuse("accept", "a text that has not ended", "one whose EOS token was accepted");
    const { tokens, eosTokens } = this.#vocabulary;
    if (eosTokens.includes(token)) {
      if (!this.complete) throw misuse("accept", "a token that may come next", `the EOS token ${token} before the end`);
      this.#ended = true;
    } else {
      const isText = (tokens[token]?.length ?? 0) > 0;
      if (!isText || !this.#constraint.allows(token)) {
        throw misuse(
          "accept",
          "a token that may come next",
          isText ? `token ${token}` : `${shown(token)}, no token of text`,
        );
      }
      this.#constraint.accept(token);
    }
  }
}

/**
 * Compiles a structure for a vocabulary, in time slices so that the event loop runs, and returns the position at the beginning of a text.
 * Compiled structures are cached: another text under the same structure begins at once.
 * @throws OptionError for a structure that is invalid, too large, not exactly enforceable, or that no text matches, and for a vocabulary
 * of other values. CheckpointError if some byte of UTF-8 is not a token by itself. AbortedError.
 */
export async function constrain(
  structure: Structure,
  vocabulary: Vocabulary,
  options: ConstrainOptions = {},
): Promise<TokenConstraint> {
  checkOptions("constrain", structure, KINDS);
  checkOptions("constrain", options, ["signal"]);
  const kinds = KINDS.filter((kind) => structure[kind] !== undefined);
  if (kinds.length !== 1) {
    throw new OptionError({
      where: "constrain",
      expected: "one of schema, regex and grammar",
      got: kinds.length === 0 ? "none" : kinds.join(" and "),
      remedy: "pass one: a schema may have patterns, and a grammar alternatives",
    });
  }
  throwIfAborted(options.signal, "compiling the structure");
  const tokens = tokensOf(vocabulary);
  const compiling = constraintFor(structure, tokens, vocabulary.eosTokens, tokens.size);
  const constraint = await inTimeSlices(compiling, () => throwIfAborted(options.signal, "compiling the structure"));
  return TokenConstraint.of(constraint!, vocabulary);
}

const KINDS = ["schema", "regex", "grammar"] as const;

const adapted = new WeakMap<Vocabulary, Tokens>();

/** The vocabulary as the automaton reads it; the same object each time, by which compiled structures are cached. */
function tokensOf(vocabulary: Vocabulary): Tokens {
  const known = adapted.get(vocabulary);
  if (known) return known;
  const { tokens, eosTokens } = vocabulary;
  if (!(tokens.length <= MOST_IDS)) {
    throw misuse("constrain, tokens", `the bytes of at most ${MOST_IDS} tokens`, `a length of ${shown(tokens.length)}`);
  }
  for (let id = 0; id < tokens.length; id++) {
    const bytes = tokens[id];
    if (bytes !== undefined && !(bytes instanceof Uint8Array)) {
      throw misuse(`constrain, tokens[${id}]`, "the bytes of a token, or undefined", shown(bytes));
    }
  }
  for (const id of eosTokens) {
    if (!Number.isInteger(id) || id < 0 || id >= MOST_IDS) {
      throw misuse("constrain, eosTokens", `ids from 0 to ${MOST_IDS - 1}`, shown(id));
    }
  }
  const made: Tokens = {
    size: sizeOf(vocabulary),
    isSpecial: () => false,
    readBytes: (id) => tokens[id] ?? NO_BYTES,
  };
  adapted.set(vocabulary, made);
  return made;
}

const NO_BYTES = new Uint8Array();
/** Sixteen times the largest vocabularies; the mask has a bit for each id. */
const MOST_IDS = 1 << 22;

/** The number of ids: EOS tokens may be beyond the tokens of text. */
function sizeOf({ tokens, eosTokens }: Vocabulary): number {
  return eosTokens.reduce((size, id) => Math.max(size, id + 1), tokens.length);
}

function misuse(where: string, expected: string, got: string): OptionError {
  return new OptionError({ where, expected, got, remedy: "see the example of TokenConstraint in ocellus/structure" });
}
