/** Tokens that must repeat before a draft is proposed from where they were before. */
const REPEATED = 3;
/** Further tokens that must repeat after a draft of which nothing was accepted; each further failure doubles them. */
const AFTER_FAILURE = 4;
const MOST_AFTER_FAILURES = 64;

/**
 * Prompt lookup (as "prompt lookup decoding", after speculative decoding, arXiv 2211.17192): where the last tokens occurred before,
 * in the prompt or in earlier answers, the tokens that followed them there are a draft of what comes next. Where drafts fail, more
 * tokens must repeat first, so that free text is not slowed down.
 */
export class PromptLookup {
  readonly #tokens: number[];
  /** The end of the latest occurrence of each run of REPEATED tokens, the last one excluded. */
  readonly #ends = new Map<string, number>();
  #indexed = REPEATED - 1;
  /** Where the tokens that repeat continue in the text before; undefined if they do not repeat. */
  #next: number | undefined;
  /** Tokens that have repeated beyond the first REPEATED. */
  #streak = 0;
  #needed = 0;

  /** `tokens`: the prompt, with the answer so far. */
  constructor(tokens: readonly number[]) {
    this.#tokens = [...tokens];
    this.#find();
  }

  /** Adds a token of the answer. */
  add(token: number): void {
    const follows = this.#next !== undefined && this.#tokens[this.#next] === token;
    this.#tokens.push(token);
    if (follows) {
      this.#next!++;
      this.#streak++;
    } else this.#find();
  }

  /** Returns up to `most` tokens that may come next; none where nothing repeats. */
  draft(most: number): readonly number[] {
    if (this.#next === undefined || this.#streak < this.#needed) return [];
    return this.#tokens.slice(this.#next, this.#next + most);
  }

  /** Whether a draft can be proposed. */
  get repeats(): boolean {
    return this.#next !== undefined && this.#streak >= this.#needed;
  }

  /** Records how many tokens of a draft were right. */
  learn(accepted: number): void {
    if (accepted > 0) this.#needed = 0;
    else this.#needed = Math.min(MOST_AFTER_FAILURES, Math.max(AFTER_FAILURE, 2 * this.#needed));
  }

  /** Finds where the last tokens were before. */
  #find(): void {
    const { length } = this.#tokens;
    this.#streak = 0;
    this.#next = undefined;
    if (length < REPEATED) return;
    for (; this.#indexed < length - 1; this.#indexed++) this.#ends.set(this.#key(this.#indexed), this.#indexed);
    const end = this.#ends.get(this.#key(length - 1));
    if (end !== undefined) this.#next = end + 1;
  }

  /** The run of tokens that ends at a position. */
  #key(end: number): string {
    return this.#tokens.slice(end - REPEATED + 1, end + 1).join();
  }
}
