import type { Constraint } from "../../structure/constraint.js";
import type { DraftCounts } from "./draft-pass.js";
import type { GenerateOptions } from "./generate-options.js";
import { PromptLookup } from "./prompt-lookup.js";

/** Drafts of an answer's next tokens, which one pass verifies. */
export interface Drafts {
  readonly lookup: PromptLookup;
  /** The canonical tokens of a text. */
  encode(text: string): readonly number[];
  readonly counts: DraftCounts;
}

/**
 * The drafts of an answer after some tokens; undefined where every token needs a pass of its own: for its logits, or because a penalty
 * counts the tokens before it.
 */
export function draftsFor(
  options: GenerateOptions,
  tokens: readonly number[],
  tokenizer: { encodeLiteral(text: string): readonly number[] },
  counts: DraftCounts,
): Drafts | undefined {
  const { drafts = true, logprobs, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
  if (!drafts || logprobs || repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0)
    return undefined;
  return { lookup: new PromptLookup(tokens), encode: (text) => tokenizer.encodeLiteral(text), counts };
}

/** Up to `most` tokens that are allowed one after the other: of the text that must come, else of what was there before. */
export function draftUnder(constraint: Constraint, { lookup, encode }: Drafts, most: number): number[] {
  const forced = constraint.forced();
  const proposed = forced === "" ? lookup.draft(most) : encode(forced).slice(0, most);
  const state = constraint.fork();
  const draft: number[] = [];
  for (const token of proposed) {
    if (!state.allows(token)) break;
    state.accept(token);
    draft.push(token);
  }
  return draft;
}
