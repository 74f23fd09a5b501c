import { newTextDecoder } from "../../io/detokenizer.js";
import type { Tokenizer } from "../../io/tokenizer.js";
import type { TokenChance, TokenLogprob } from "./answer.js";

/** Returns the logprobs of a token and of the `top` most likely ones: log-softmax of logits `[V]`, in float64. */
export function logprobsOf(
  logits: Float32Array,
  token: number,
  top: number,
  tokenizer: Pick<Tokenizer, "bytesOf" | "size">,
): TokenLogprob {
  const count = Math.min(tokenizer.size, logits.length);
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) if (logits[i]! > highest) highest = logits[i]!;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp(logits[i]! - highest);
  const whole = highest + Math.log(sum);
  const chance = (id: number): TokenChance => {
    const bytes = tokenizer.bytesOf(id);
    return { token: id, text: newTextDecoder().decode(bytes), bytes: [...bytes], logprob: logits[id]! - whole };
  };
  return { ...chance(token), top: topIndices(logits, count, top).map(chance) };
}

/** Returns the indices of the largest `top` of the first `count` elements, in descending order. */
function topIndices(logits: Float32Array, count: number, top: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < count && top > 0; i++) {
    if (best.length === top && !(logits[i]! > logits[best[top - 1]!]!)) continue;
    let at = Math.min(best.length, top - 1);
    while (at > 0 && logits[i]! > logits[best[at - 1]!]!) {
      best[at] = best[at - 1]!;
      at--;
    }
    best[at] = i;
  }
  return best;
}
