import { OptionError, shown } from "../../base/errors.js";

/** Logits differ by less: such a bias excludes or selects a token. */
const MOST_BIAS = 100;

/** The bias of every token, `[allowed]`; undefined if all are zero. Throws OptionError for what is no bias of a token. */
export function biasOf(bias: Readonly<Record<string, number>>, allowed: number): Float32Array | undefined {
  const entries = Object.entries(bias);
  for (const [token, add] of entries) {
    const isToken = /^(?:0|[1-9]\d*)$/.test(token) && Number(token) < allowed;
    if (isToken && typeof add === "number" && Math.abs(add) <= MOST_BIAS) continue;
    throw new OptionError({
      where: "session.generate, logitBias",
      expected: `numbers from -${MOST_BIAS} to ${MOST_BIAS} by token ids from 0 to ${allowed - 1}`,
      got: `${shown(token)}: ${shown(add)}`,
      remedy: "encode the word with the checkpoint's own tokenizer: ids of other models stand for other words",
    });
  }
  if (entries.every(([, add]) => add === 0)) return undefined;
  const all = new Float32Array(allowed);
  for (const [token, add] of entries) all[Number(token)] = add;
  return all;
}
