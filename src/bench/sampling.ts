import { oneChoice, PLAIN_CHOICE } from "../kernels/choice-rows.js";
import { chooseToken } from "../kernels/choose-token.js";
import { rankLogits } from "../kernels/rank-logits.js";
import { cutOf, rankWithCutoff } from "../kernels/sampling-cutoff.js";
import type { Tensor } from "../runtime/tensor.js";
import { gumbel, samplingProbabilities } from "./reference/choose.js";
import { workload } from "./row-kernels.js";
import { Runs } from "./synthetic.js";
import { VOCABULARY, type Workload } from "./workload.js";

/** Sampling from the logits of a vocabulary, with the values of Qwen2's generation_config.json. */

const SAMPLING = { temperature: 0.7, topK: 20, topP: 0.8, minP: 0 };
const PENALTIES = { repetition: 1, presence: 0, frequency: 0 };
const RNG_KEY = [1, 2] as const;
/** Deviation of the logits: a few tokens have most of the probability. */
const DEVIATION = 3;

const logitsOf = (count: number): Float32Array => new Runs(3, DEVIATION).take(count);
const wrongUnless = (right: boolean): number => (right ? 0 : Number.POSITIVE_INFINITY);

/** Top-k and top-p: the lowest rank that survives. Verified by the tokens that survive, all of which must be the reference's. */
function cutting(count: number): Workload {
  const what = "ranks of the logits, and their top-k and top-p cutoff";
  const description = { name: "sampling_cutoff", what, shape: `${count}`, flops: 0, otherBytes: 4 * count };
  return workload(description, (device) => {
    const logits = logitsOf(count);
    const x = device.upload(logits, [1, count], "logits");
    const { temperature, topK, topP } = SAMPLING;
    const rows = oneChoice({ ...PLAIN_CHOICE, inverseTemperature: 1 / temperature, topK, topP });
    const ranks = rankLogits(x, count, rows, {});
    const cut = cutOf(SAMPLING, count, device.facts);
    return {
      run: () => rankWithCutoff(x, count, rows, {}, cut).cutoff,
      async verify(y: Tensor) {
        const [lowest] = await y.read("u32");
        const truth = samplingProbabilities(logits, { count }, SAMPLING);
        const survivors = await ranks.read("u32");
        return wrongUnless(truth.every((p, i) => p > 0 === survivors[i]! >= lowest!));
      },
    };
  });
}

/** A sampled token: ranks, cutoff, noise and choice. Verified by its id. */
function sampling(count: number): Workload {
  const what = "a sampled token: ranks, cutoff, choice";
  const description = { name: "choose_token", what, shape: `${count}`, flops: 0, otherBytes: 4 * count };
  return workload(description, (device) => {
    const logits = logitsOf(count);
    const x = device.upload(logits, [1, count], "logits");
    const token = device.empty([1], "u32", "token");
    return {
      run() {
        const answer = device.empty([1], "u32", "answer");
        const rules = { count, at: 0, penalties: PENALTIES, sampling: { ...SAMPLING, rngKey: RNG_KEY } };
        chooseToken(x, { token, answer }, rules);
        return answer;
      },
      async verify(y: Tensor) {
        const [chosen] = await y.read("u32");
        const score = Array.from(samplingProbabilities(logits, { count }, SAMPLING), (p, i) =>
          p > 0 ? Math.log(p) + gumbel(i, RNG_KEY) : Number.NEGATIVE_INFINITY,
        );
        return wrongUnless(score.every((other) => other <= score[chosen!]!));
      },
    };
  });
}

/** Sampling at the size of Qwen2's vocabulary. */
export const SAMPLING_WORKLOADS: readonly Workload[] = [cutting(VOCABULARY), sampling(VOCABULARY)];
