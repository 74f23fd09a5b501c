import type { KVCache } from "../../layers/kv-cache.js";
import type { Arena } from "../../runtime/arena.js";
import type { Network } from "../llava-onevision/network.js";
import type { Choice, Reads } from "./reads.js";
import type { Sampler } from "./sampler.js";

/** Most tokens of a draft: with the token before them, as many rows as one pass reads the weights for once. */
export const MOST_DRAFT = 8;

/** Tokens that were proposed, and those of them that were the answer's. */
export interface DraftCounts {
  draftedTokens: number;
  acceptedTokens: number;
}

/** What a pass over a draft needs. */
export interface DraftParts {
  readonly network: Network;
  readonly cache: KVCache;
  readonly owner: Arena;
  readonly sampler: Sampler;
  readonly reads: Reads;
  readonly counts: DraftCounts;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Chooses the tokens after `last` and after each token of a draft in one pass, and returns those up to the first that is not the
 * draft's: at least one, all as if they were chosen one by one. The KV cache then has the rows before the last of them. `allow`, if
 * given, sets the mask of the choice after row `row`.
 */
export async function chooseAlong(
  { network, cache, owner, sampler, reads, counts, signal }: DraftParts,
  last: number,
  draft: readonly number[],
  index: number,
  allow?: (row: number) => Promise<void>,
): Promise<Choice[]> {
  const { device } = network;
  const before = cache.length;
  const ids = Uint32Array.of(last, ...draft);
  const vocabulary = network.config.text.vocabulary;
  cache.reserve(before + ids.length);
  const logits = await network.after(ids, cache, { owner, where: "generating", signal }); // [T, V]
  const row = owner.run(() => device.empty([1, vocabulary], "f32", "logits of a row"));
  device.flush();
  for (let at = 0; at < ids.length; at++) {
    await allow?.(at);
    device.copy(logits, at * vocabulary * 4, row, 0, vocabulary * 4);
    sampler.choose(row, index + at, at);
  }
  logits.dispose();
  row.dispose();
  reads.begin(sampler, ids.length);
  const choices = await reads.choices(sampler);
  let accepted = 0;
  while (accepted < draft.length && choices[accepted]!.token === draft[accepted]) accepted++;
  cache.truncate(before + accepted + 1);
  counts.draftedTokens += draft.length;
  counts.acceptedTokens += accepted;
  const right = choices.slice(0, accepted + 1);
  // The next step reads it there; the last row may have chosen another.
  if (right.length < choices.length) device.write(sampler.token, Uint32Array.of(right.at(-1)!.token));
  return right;
}
