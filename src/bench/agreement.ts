import { PromptPass } from "../models/chat/prompt-pass.js";
import { TapRecorder } from "../models/chat/taps.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import type { LlavaOneVision } from "../models/llava-onevision.js";
import { Arena } from "../runtime/arena.js";

/** A model's logits for a given answer (teacher forcing). */
export interface Judgement {
  /** Rows × vocabulary: the logits before each token of the answer, and those after its last. */
  readonly logits: Float32Array;
  readonly rows: number;
}

/** Prefills a question with its answer, and reads the logits at every token of the answer. */
export async function judge(
  model: LlavaOneVision,
  messages: readonly ChatMessage[],
  answer: readonly number[],
): Promise<Judgement> {
  const { internals } = model;
  const { device, network, config, processor } = internals;
  const { width } = config.text;
  const prompt = await processor.prepare(messages, {});
  const inputIds = [...prompt.inputIds, ...answer];
  const owner = new Arena(device, "judgement");
  const cache = network.cache("f32");
  try {
    cache.reserve(inputIds.length);
    const taps = new TapRecorder(device);
    const pass = new PromptPass(internals, { ...prompt, inputIds }, owner, { taps });
    await pass.encodeMedia(0);
    await pass.prefill(0, cache);
    const hidden = (await taps.collect()).find(({ name }) => name === "norm")!.data;
    const rows = answer.length + 1;
    const last = hidden.slice((inputIds.length - rows) * width);
    const y = owner.run(() => device.scope(() => network.language.logits(device.upload(last, [rows, width], "rows"))));
    return { logits: await y.read(), rows };
  } finally {
    owner.dispose();
    cache.dispose();
  }
}

/** Agreement of two models on the same answer. */
export interface Agreement {
  readonly rows: number;
  /** Rows with the same argmax. */
  readonly same: number;
  /** Kullback-Leibler divergence Σ p·ln(p/q) in nats, summed over the rows. */
  readonly divergence: number;
}

/** Compares the distributions p of `truth` and q of `other`. */
export function agreement(truth: Judgement, other: Judgement): Agreement {
  const vocabulary = truth.logits.length / truth.rows;
  let same = 0;
  let divergence = 0;
  for (let row = 0; row < truth.rows; row++) {
    const p = logSoftmax(truth.logits.subarray(row * vocabulary, (row + 1) * vocabulary));
    const q = logSoftmax(other.logits.subarray(row * vocabulary, (row + 1) * vocabulary));
    if (largest(p) === largest(q)) same++;
    for (let i = 0; i < vocabulary; i++) divergence += Math.exp(p[i]!) * (p[i]! - q[i]!);
  }
  return { rows: truth.rows, same, divergence };
}

function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const log = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return Float64Array.from(logits, (logit) => logit - log);
}

function largest(values: Float64Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
